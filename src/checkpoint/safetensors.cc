// Checks every number of the header before anything is read through it.
#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <tuple>

#include "base/error.h"
#include "base/json.h"
#include "base/quote.h"

namespace zimage {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are read in place");

constexpr std::uint64_t kLengthBytes = 8;
// MAX_HEADER_SIZE of safetensors/src/tensor.rs.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::string_view kMetadata = "__metadata__";  // the one key that is no tensor

struct DTypeName {
  std::string_view name;
  std::optional<DType> dtype;  // nothing: the engine has no such type
  QuantType type = QuantType::None;
};

// `enum Dtype` of safetensors/src/tensor.rs.
constexpr std::array kDTypeNames = {
    DTypeName{"F32", DType::F32},
    DTypeName{"F16", DType::F16},
    DTypeName{"BF16", DType::BF16},
    DTypeName{"I64", DType::I64},
    DTypeName{"I32", DType::I32},
    DTypeName{"U8", DType::U8},
    DTypeName{"I8", DType::U8, QuantType::Int8},
    DTypeName{"F8_E4M3", DType::U8, QuantType::Fp8E4M3},
    DTypeName{"F8_E5M2", DType::U8, QuantType::Fp8E5M2},
    DTypeName{"BOOL", {}},
    DTypeName{"I16", {}},
    DTypeName{"U16", {}},
    DTypeName{"U32", {}},
    DTypeName{"U64", {}},
    DTypeName{"F64", {}},
    DTypeName{"C64", {}},
    DTypeName{"F4", {}},
    DTypeName{"F6_E2M3", {}},
    DTypeName{"F6_E3M2", {}},
    DTypeName{"F8_E8M0", {}},
    DTypeName{"F8_E4M3FNUZ", {}},
    DTypeName{"F8_E5M2FNUZ", {}},
};

[[noreturn]] void throw_invalid(const std::string& name, const std::string& finding) {
  throw Error(ErrorCode::InvalidFile, name + ": " + finding);
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The header's length, which fits into the file.
std::uint64_t header_length(std::span<const std::byte> file, const std::string& name) {
  if (file.size() < kLengthBytes) {
    throw_invalid(name, "not a safetensors file: " + std::to_string(file.size()) +
                            " bytes, expected at least " + std::to_string(kLengthBytes));
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  }
  if (length > kMaxHeaderBytes) {
    throw_invalid(name, "not a safetensors file: it says that its header has " +
                            std::to_string(length) + " bytes, expected at most " +
                            std::to_string(kMaxHeaderBytes));
  }
  if (length > file.size() - kLengthBytes) {
    throw_invalid(name, "truncated: expected a header of " + std::to_string(length) +
                            " bytes, found " + std::to_string(file.size() - kLengthBytes));
  }
  if (length == 0 || file[kLengthBytes] != std::byte{'{'}) {
    throw_invalid(name, "not a safetensors file: its header does not begin with \"{\"");
  }
  return length;
}

const DTypeName& parse_dtype(const JsonObject& entry) {
  const std::string text = entry.string("dtype");
  const auto* const found = std::ranges::find(kDTypeNames, text, &DTypeName::name);
  if (found == kDTypeNames.end()) {
    throw_invalid(entry.name(), "unknown dtype " + quote(text));
  }
  if (!found->dtype) {
    throw Error(ErrorCode::Unsupported,
                entry.name() + ": dtype " + text +
                    ", expected F32, F16, BF16, F8_E4M3, F8_E5M2, I64, I32, I8 or U8");
  }
  return *found;
}

Shape parse_shape(const JsonObject& entry) {
  const std::vector<std::int64_t> extents = entry.integers("shape");
  if (extents.size() > static_cast<std::size_t>(Shape::kMaxRank)) {
    throw Error(ErrorCode::Unsupported, entry.name() + ": " + std::to_string(extents.size()) +
                                            " axes, expected at most " +
                                            std::to_string(Shape::kMaxRank));
  }
  for (const std::int64_t extent : extents) {
    if (extent < 0) throw_invalid(entry.name(), "negative extent " + std::to_string(extent));
  }
  return Shape(extents);
}

// The bytes that the shape and dtype ask for.
std::int64_t byte_count(const JsonObject& entry, DType dtype, const Shape& shape) {
  auto count = static_cast<std::int64_t>(size_of(dtype));
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (__builtin_mul_overflow(count, shape[axis], &count)) {
      throw_invalid(entry.name(), "shape " + to_string(shape) + " is too large for any memory");
    }
  }
  return count;
}

StoredTensor parse_entry(const std::string& name, const JsonObject& entry,
                         std::uint64_t data_begin) {
  const DTypeName& stored = parse_dtype(entry);
  const DType dtype = *stored.dtype;
  const Shape shape = parse_shape(entry);
  const std::vector<std::int64_t> offsets = entry.integers("data_offsets");
  if (offsets.size() != 2) {
    throw_invalid(entry.name(), "\"data_offsets\" has " + std::to_string(offsets.size()) +
                                    " numbers, expected begin and end");
  }
  const auto [begin, end] = std::tuple(offsets[0], offsets[1]);
  const std::string range =
      "data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) + "]";
  if (begin < 0 || end < begin) throw_invalid(entry.name(), range + ", expected 0 <= begin <= end");
  const std::int64_t expected = byte_count(entry, dtype, shape);
  if (end - begin != expected) {
    throw_invalid(
        entry.name(),
        range + " holds " + std::to_string(end - begin) + " bytes, expected " +
            std::to_string(expected) + " for " +
            std::string(stored.type == QuantType::None ? name_of(dtype) : name_of(stored.type)) +
            " " + to_string(shape));
  }
  return {name,
          dtype,
          stored.type,
          shape,
          data_begin + static_cast<std::uint64_t>(begin),
          data_begin + static_cast<std::uint64_t>(end)};
}

// Free text beside the tensors: an object of strings.
void check_metadata(const Json& metadata, const std::string& name) {
  if (metadata.is_null()) return;
  const JsonObject object(metadata, name);
  for (const auto& [key, value] : metadata.items()) {
    if (!value.is_string()) {
      throw_invalid(name, quote(key) + " is " + value.type_name() + ", expected a string");
    }
  }
}

// `tensors` are sorted by `begin`, then by `end`.
void check_coverage(const std::vector<StoredTensor>& tensors, std::uint64_t data_begin,
                    std::uint64_t file_bytes, const std::string& name) {
  std::uint64_t covered = data_begin;
  const StoredTensor* previous = nullptr;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.begin < covered) {
      throw_invalid(name,
                    "tensors " + quote(previous->name) + " and " + quote(tensor.name) + " overlap");
    }
    if (tensor.begin > covered) {
      throw_invalid(name, std::to_string(tensor.begin - covered) + " bytes before tensor " +
                              quote(tensor.name) +
                              " belong to no tensor, which the format forbids");
    }
    covered = tensor.end;
    previous = &tensor;
  }
  if (covered > file_bytes) {
    throw_invalid(name, "truncated, or its header lies: expected " + std::to_string(covered) +
                            " bytes, found " + std::to_string(file_bytes) + "; tensor " +
                            quote(previous->name) + " ends outside the file");
  }
  if (covered < file_bytes) {
    throw_invalid(name, std::to_string(file_bytes - covered) +
                            " bytes after the last tensor belong to none: expected " +
                            std::to_string(covered) + " bytes, found " +
                            std::to_string(file_bytes));
  }
}

}  // namespace

StoredFile parse_safetensors(std::span<const std::byte> file, const std::string& name) {
  refuse_lfs_pointer(file, name);
  const std::uint64_t length = header_length(file, name);
  const std::uint64_t data_begin = kLengthBytes + length;
  const Json document =
      parse_json_unique(as_text(file.subspan(kLengthBytes, length)), name + ": header");
  const std::string metadata_name = name + ": " + std::string(kMetadata);
  StoredFile result{.tensors = {}, .metadata = Json::object()};
  std::vector<StoredTensor>& tensors = result.tensors;
  for (const auto& [key, value] : document.items()) {
    if (key == kMetadata) {
      check_metadata(value, metadata_name);
      if (!value.is_null()) result.metadata = value;
      continue;
    }
    tensors.push_back(
        parse_entry(key, JsonObject(value, name + ": tensor " + quote(key)), data_begin));
  }
  std::ranges::sort(tensors, {}, [](const StoredTensor& t) { return std::tuple(t.begin, t.end); });
  check_coverage(tensors, data_begin, file.size(), name);
  return result;
}

std::string with_length(const std::string& header) {
  std::string length(kLengthBytes, '\0');
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    length[i] = static_cast<char>(header.size() >> (8 * i) & 0xffU);
  return length + header;
}

void refuse_lfs_pointer(std::span<const std::byte> file, const std::string& name) {
  if (as_text(file).starts_with("version https://git-lfs")) {
    throw_invalid(name,
                  "a Git LFS pointer, not the file it stands for; fetch it with \"git lfs pull\"");
  }
}

}  // namespace zimage
