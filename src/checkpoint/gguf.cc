// Reads with a cursor that never leaves the file, and bounds every count by the bytes that are
// left.
#include "checkpoint/gguf.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/quote.h"

namespace zimage {
namespace {

constexpr std::string_view kMagic = "GGUF";
// The header of a text encoder, vocabulary included, has 6 MB.
constexpr std::size_t kMaxHeaderBytes = std::size_t{1} << 25;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::size_t kMaxNameBytes = 1024;
// Arrays of arrays occur in no known file.
constexpr int kMaxDepth = 2;
constexpr std::string_view kShapeKey = "comfy.gguf.orig_shape.";

// `enum GGUFValueType`.
enum class ValueType : std::uint8_t {
  U8,
  I8,
  U16,
  I16,
  U32,
  I32,
  F32,
  Bool,
  String,
  Array,
  U64,
  I64,
  F64,
};

// `enum GGMLQuantizationType`.
struct TensorType {
  std::uint32_t id;
  DType dtype;
  QuantType type = QuantType::None;
};

constexpr std::array kTensorTypes = {
    TensorType{0, DType::F32},
    TensorType{1, DType::F16},
    TensorType{2, DType::U8, QuantType::Q40},
    TensorType{3, DType::U8, QuantType::Q41},
    TensorType{6, DType::U8, QuantType::Q50},
    TensorType{7, DType::U8, QuantType::Q51},
    TensorType{8, DType::U8, QuantType::Q80},
    TensorType{10, DType::U8, QuantType::Q2K},
    TensorType{11, DType::U8, QuantType::Q3K},
    TensorType{12, DType::U8, QuantType::Q4K},
    TensorType{13, DType::U8, QuantType::Q5K},
    TensorType{14, DType::U8, QuantType::Q6K},
    TensorType{20, DType::U8, QuantType::Iq4Nl},
    TensorType{23, DType::U8, QuantType::Iq4Xs},
    TensorType{26, DType::I32},
    TensorType{27, DType::I64},
    TensorType{30, DType::BF16},
};

[[noreturn]] void throw_invalid(const std::string& name, const std::string& finding) {
  throw Error(ErrorCode::InvalidFile, name + ": " + finding);
}

class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  template <typename T>
  T read() {
    T value{};
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string text(std::size_t most) {
    const auto length = read<std::uint64_t>();
    if (length > most || length > left()) {
      throw_invalid(name_, "a text of " + std::to_string(length) + " bytes at " +
                               std::to_string(position_) + ", expected at most " +
                               std::to_string(std::min(most, left())));
    }
    const std::span<const std::byte> bytes = take(length);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // A count of things that take `least` bytes each.
  std::uint64_t count(const char* what, std::size_t least) {
    const auto value = read<std::uint64_t>();
    if (value > left() / least) {
      throw_invalid(name_, std::to_string(value) + " " + what + ", expected at most " +
                               std::to_string(left() / least) + " in " + std::to_string(left()) +
                               " bytes");
    }
    return value;
  }

  std::size_t position() const { return position_; }
  const std::string& name() const { return name_; }

 private:
  std::size_t left() const { return bytes_.size() - position_; }

  std::span<const std::byte> take(std::size_t size) {
    if (size > left()) {
      throw_invalid(
          name_, "truncated: its header has more than " + std::to_string(bytes_.size()) + " bytes");
    }
    position_ += size;
    return bytes_.subspan(position_ - size, size);
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
  std::size_t position_ = 0;
};

Json read_value(Cursor& cursor, ValueType type, int depth);

ValueType read_type(Cursor& cursor) {
  const auto type = cursor.read<std::uint32_t>();
  constexpr auto kLast = static_cast<std::uint32_t>(ValueType::F64);
  if (type > kLast) {
    throw_invalid(cursor.name(), "a value of type " + std::to_string(type) + ", expected 0 to " +
                                     std::to_string(kLast));
  }
  return static_cast<ValueType>(type);
}

Json read_array(Cursor& cursor, int depth) {
  if (depth == kMaxDepth) throw_invalid(cursor.name(), "arrays inside arrays inside arrays");
  const auto type = read_type(cursor);
  const std::uint64_t count = cursor.count("values of an array", 1);
  Json array = Json::array();
  for (std::uint64_t i = 0; i < count; ++i) array.push_back(read_value(cursor, type, depth + 1));
  return array;
}

Json read_value(Cursor& cursor, ValueType type, int depth) {
  switch (type) {
    case ValueType::U8: return cursor.read<std::uint8_t>();
    case ValueType::I8: return cursor.read<std::int8_t>();
    case ValueType::U16: return cursor.read<std::uint16_t>();
    case ValueType::I16: return cursor.read<std::int16_t>();
    case ValueType::U32: return cursor.read<std::uint32_t>();
    case ValueType::I32: return cursor.read<std::int32_t>();
    case ValueType::F32: return cursor.read<float>();
    case ValueType::Bool: return cursor.read<std::uint8_t>() != 0;
    case ValueType::String: return cursor.text(std::numeric_limits<std::size_t>::max());
    case ValueType::Array: return read_array(cursor, depth);
    case ValueType::U64: return cursor.read<std::uint64_t>();
    case ValueType::I64: return cursor.read<std::int64_t>();
    case ValueType::F64: return cursor.read<double>();
  }
  return {};
}

Json read_metadata(Cursor& cursor, std::uint64_t count) {
  Json metadata = Json::object();
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string key = cursor.text(kMaxNameBytes);
    const auto type = read_type(cursor);
    if (!metadata.emplace(key, read_value(cursor, type, 0)).second) {
      throw_invalid(cursor.name(), "key " + quote(key) + " is there twice");
    }
  }
  return metadata;
}

const TensorType& type_of(std::uint32_t id, const std::string& place) {
  const auto* const found = std::ranges::find(kTensorTypes, id, &TensorType::id);
  if (found == kTensorTypes.end()) {
    throw Error(ErrorCode::Unsupported,
                place + ": ggml type " + std::to_string(id) +
                    ", expected F32, F16, BF16, I32, I64, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to "
                    "Q6_K, IQ4_NL or IQ4_XS");
  }
  return *found;
}

// Innermost axis first in the file.
Shape read_shape(Cursor& cursor, const std::string& place) {
  const auto rank = cursor.read<std::uint32_t>();
  if (rank > static_cast<std::uint32_t>(Shape::kMaxRank)) {
    throw Error(ErrorCode::Unsupported, place + ": " + std::to_string(rank) +
                                            " axes, expected at most " +
                                            std::to_string(Shape::kMaxRank));
  }
  std::vector<std::int64_t> extents(rank);
  for (auto extent = extents.rbegin(); extent != extents.rend(); ++extent) {
    const auto value = cursor.read<std::uint64_t>();
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      throw_invalid(place, "an axis of " + std::to_string(value));
    }
    *extent = static_cast<std::int64_t>(value);
  }
  return Shape(extents);
}

std::uint64_t byte_count(const TensorType& type, const Shape& shape, const std::string& place) {
  const QuantBlock block =
      type.type == QuantType::None ? QuantBlock{1, size_of(type.dtype)} : block_of(type.type);
  const std::int64_t innermost = shape.rank() == 0 ? 1 : shape[shape.rank() - 1];
  if (innermost % block.elements != 0) {
    throw_invalid(place, std::string(name_of(type.type)) + " " + to_string(shape) +
                             ", expected rows of a multiple of " + std::to_string(block.elements));
  }
  auto count = static_cast<std::int64_t>(block.bytes);
  bool too_large = __builtin_mul_overflow(count, innermost / block.elements, &count);
  for (int axis = 0; axis + 1 < shape.rank(); ++axis) {
    too_large = too_large || __builtin_mul_overflow(count, shape[axis], &count);
  }
  // In the order of Shape::elements(): an axis of 0 does not hide what overflows before it.
  std::int64_t elements = 1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    too_large = too_large || __builtin_mul_overflow(elements, shape[axis], &elements);
  }
  if (too_large) throw_invalid(place, "shape " + to_string(shape) + " is too large for any memory");
  return static_cast<std::uint64_t>(count);
}

// Offsets are from the start of the data until place_data().
StoredTensor read_tensor(Cursor& cursor) {
  StoredTensor tensor;
  tensor.name = cursor.text(kMaxNameBytes);
  const std::string place = cursor.name() + ": tensor " + quote(tensor.name);
  tensor.shape = read_shape(cursor, place);
  const TensorType& type = type_of(cursor.read<std::uint32_t>(), place);
  tensor.dtype = type.dtype;
  tensor.type = type.type;
  tensor.begin = cursor.read<std::uint64_t>();
  if (__builtin_add_overflow(tensor.begin, byte_count(type, tensor.shape, place), &tensor.end)) {
    throw_invalid(place, "offset " + std::to_string(tensor.begin) + " is too large for any file");
  }
  return tensor;
}

std::uint64_t alignment_of(const Json& metadata, const std::string& name) {
  const auto entry = metadata.find("general.alignment");
  if (entry == metadata.end()) return kDefaultAlignment;
  const std::uint64_t alignment =
      entry->is_number_unsigned() ? entry->get<std::uint64_t>() : std::uint64_t{0};
  if (alignment == 0 || alignment > kMaxHeaderBytes || (alignment & (alignment - 1)) != 0) {
    throw_invalid(name, "general.alignment is no power of 2");
  }
  return alignment;
}

// Sorts `tensors`, moves their offsets to where the data begins, and checks that each has bytes of
// its own.
void place_data(std::vector<StoredTensor>& tensors, std::uint64_t data_begin,
                std::uint64_t file_bytes, const std::string& name) {
  std::ranges::sort(tensors, {}, [](const StoredTensor& t) { return std::pair(t.begin, t.end); });
  std::uint64_t covered = 0;
  const StoredTensor* previous = nullptr;
  for (StoredTensor& tensor : tensors) {
    if (tensor.begin < covered) {
      throw_invalid(name,
                    "tensors " + quote(previous->name) + " and " + quote(tensor.name) + " overlap");
    }
    covered = tensor.end;
    previous = &tensor;
  }
  std::uint64_t expected = 0;
  if (__builtin_add_overflow(covered, data_begin, &expected) || expected > file_bytes) {
    // A file without tensors may end before the padding of its header.
    if (previous == nullptr) return;
    throw_invalid(name, "truncated, or its header lies: tensor " + quote(previous->name) +
                            " ends " + std::to_string(covered) + " bytes after " +
                            std::to_string(data_begin) + ", found " + std::to_string(file_bytes) +
                            " bytes");
  }
  for (StoredTensor& tensor : tensors) {
    tensor.begin += data_begin;
    tensor.end += data_begin;
  }
}

void check_names(const std::vector<StoredTensor>& tensors, const std::string& name) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const StoredTensor& tensor : tensors) names.push_back(tensor.name);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice != names.end()) throw_invalid(name, "tensor " + quote(*twice) + " is there twice");
}

// Shapes that the writer flattened: the same numbers in other axes.
void restore_shapes(std::vector<StoredTensor>& tensors, const Json& metadata) {
  for (StoredTensor& tensor : tensors) {
    const auto entry = metadata.find(std::string(kShapeKey) + tensor.name);
    if (entry == metadata.end() || !entry->is_array() ||
        entry->size() > static_cast<std::size_t>(Shape::kMaxRank)) {
      continue;
    }
    std::vector<std::int64_t> extents;
    std::int64_t elements = 1;
    for (const Json& extent : *entry) {
      extents.push_back(extent.is_number_integer() ? extent.get<std::int64_t>() : -1);
      if (extents.back() < 0 || __builtin_mul_overflow(elements, extents.back(), &elements)) {
        elements = -1;
        break;
      }
    }
    if (elements == tensor.shape.elements()) tensor.shape = Shape(extents);
  }
}

void check_version(std::uint32_t version, const std::string& name) {
  if (version == 2 || version == 3) return;
  // A big-endian file has its version in the upper bytes.
  throw Error(ErrorCode::Unsupported, name + ": GGUF version " + std::to_string(version) +
                                          ((version & 0xffffU) == 0 ? " (a big-endian file)" : "") +
                                          ", expected 2 or 3");
}

void check_is_whole(const Json& metadata, const std::string& name) {
  const auto count = metadata.find("split.count");
  if (count == metadata.end() || !count->is_number_integer() || count->get<std::int64_t>() <= 1)
    return;
  throw Error(ErrorCode::Unsupported, name + ": one of " + count->dump() +
                                          " files, expected a whole one (llama-gguf-split "
                                          "--merge makes it)");
}

}  // namespace

bool is_gguf(std::span<const std::byte> file) {
  return file.size() >= kMagic.size() && std::memcmp(file.data(), kMagic.data(), 4) == 0;
}

StoredFile parse_gguf(std::span<const std::byte> file, const std::string& name) {
  if (!is_gguf(file)) throw_invalid(name, "not a GGUF file: it does not begin with GGUF");
  Cursor cursor(file.subspan(0, std::min(file.size(), kMaxHeaderBytes)), name);
  static_cast<void>(cursor.read<std::uint32_t>());
  check_version(cursor.read<std::uint32_t>(), name);
  // Name, rank, type and offset of a tensor; key and type of a fact.
  const std::uint64_t tensor_count = cursor.count("tensors", 24);
  const std::uint64_t key_count = cursor.count("keys", 12);
  StoredFile result{.tensors = {}, .metadata = read_metadata(cursor, key_count)};
  check_is_whole(result.metadata, name);
  for (std::uint64_t i = 0; i < tensor_count; ++i) result.tensors.push_back(read_tensor(cursor));
  check_names(result.tensors, name);
  const std::uint64_t alignment = alignment_of(result.metadata, name);
  const std::uint64_t data_begin = (cursor.position() + alignment - 1) / alignment * alignment;
  place_data(result.tensors, data_begin, file.size(), name);
  restore_shapes(result.tensors, result.metadata);
  return result;
}

}  // namespace zimage
