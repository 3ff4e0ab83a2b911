// Version 3, little-endian, tensors at multiples of 32. Source: docs/gguf.md of ggml-org/ggml.
#include "convert/plan_gguf.h"

#include <bit>
#include <utility>

#include "base/error.h"
#include "base/quote.h"

namespace zimage {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kAlignment = 32;

// `enum gguf_type`.
constexpr std::uint32_t kUint32 = 4;
constexpr std::uint32_t kInt32 = 5;
constexpr std::uint32_t kFloat32 = 6;
constexpr std::uint32_t kBool = 7;
constexpr std::uint32_t kString = 8;
constexpr std::uint32_t kArray = 9;

template <typename T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_text(std::string& bytes, std::string_view text) {
  append(bytes, static_cast<std::uint64_t>(text.size()));
  bytes.append(text);
}

std::uint64_t aligned(std::uint64_t offset) {
  return (offset + kAlignment - 1) / kAlignment * kAlignment;
}

// `enum ggml_type`.
std::uint32_t type_id(const PlannedTensor& tensor) {
  switch (tensor.storage.type) {
    case QuantType::None: break;
    case QuantType::Q80: return 8;
    case QuantType::Q4K: return 12;
    case QuantType::Q5K: return 13;
    case QuantType::Q6K: return 14;
    default:
      throw Error(ErrorCode::Unsupported,
                  quote(tensor.name) + ": " + std::string(tensor.storage.name()) +
                      " numbers, expected a type that GGUF files are written with");
  }
  switch (tensor.storage.dtype) {
    case DType::F32: return 0;
    case DType::F16: return 1;
    case DType::I32: return 26;
    case DType::I64: return 27;
    case DType::BF16: return 30;
    case DType::U8: break;
  }
  throw Error(ErrorCode::Unsupported,
              quote(tensor.name) + ": u8 numbers, which GGUF files do not have");
}

}  // namespace

void GgufFacts::begin(std::string_view key, std::uint32_t type) {
  append_text(bytes_, key);
  append(bytes_, type);
  ++count_;
}

void GgufFacts::add(std::string_view key, std::uint32_t value) {
  begin(key, kUint32);
  append(bytes_, value);
}

void GgufFacts::add(std::string_view key, float value) {
  begin(key, kFloat32);
  append(bytes_, value);
}

void GgufFacts::add(std::string_view key, std::string_view value) {
  begin(key, kString);
  append_text(bytes_, value);
}

void GgufFacts::add(std::string_view key, const std::vector<std::int32_t>& values) {
  begin(key, kArray);
  append(bytes_, kInt32);
  append(bytes_, static_cast<std::uint64_t>(values.size()));
  for (const std::int32_t value : values) append(bytes_, value);
}

void GgufFacts::add(std::string_view key, const std::vector<std::string>& values) {
  begin(key, kArray);
  append(bytes_, kString);
  append(bytes_, static_cast<std::uint64_t>(values.size()));
  for (const std::string& value : values) append_text(bytes_, value);
}

void GgufFacts::add_flag(std::string_view key, std::uint8_t value) {
  begin(key, kBool);
  append(bytes_, value);
}

PlannedFile plan_gguf(std::string path, std::vector<PlannedTensor> tensors,
                      const GgufFacts& facts) {
  std::string header = "GGUF";
  append(header, kVersion);
  append(header, static_cast<std::uint64_t>(tensors.size()));
  append(header, facts.count());
  header += facts.bytes();
  std::uint64_t end = 0;
  for (PlannedTensor& tensor : tensors) {
    append_text(header, tensor.name);
    append(header, static_cast<std::uint32_t>(tensor.shape.rank()));
    // Innermost axis first.
    for (int axis = tensor.shape.rank() - 1; axis >= 0; --axis)
      append(header, static_cast<std::uint64_t>(tensor.shape[axis]));
    append(header, type_id(tensor));
    tensor.offset = aligned(end);
    append(header, tensor.offset);
    end = tensor.offset + tensor.size();
  }
  header.resize(aligned(header.size()), '\0');
  // The padding after the last tensor belongs to it for those who map the file in aligned pieces.
  PlannedFile file{.path = std::move(path),
                   .header = std::move(header),
                   .tensors = std::move(tensors),
                   .size = 0};
  for (PlannedTensor& tensor : file.tensors) tensor.offset += file.header.size();
  file.size = file.header.size() + aligned(end);
  return file;
}

}  // namespace zimage
