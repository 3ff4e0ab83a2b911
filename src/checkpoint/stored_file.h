// What the header of a weight file says, whatever its format: where each tensor lies, and the facts
// beside them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/host_tensor.h"
#include "base/json.h"
#include "base/quant_type.h"
#include "base/shape.h"

namespace zimage {

// One tensor of a file, which holds its numbers in row-major order, little-endian.
struct StoredTensor {
  std::string name;
  DType dtype;  // U8 for what is quantized
  QuantType type;
  Shape shape;
  std::uint64_t begin;  // of its bytes, counted from the start of the file
  std::uint64_t end;
};

// The tensor in the bytes of its file, without scales.
inline HostTensor view_of(const StoredTensor& tensor, std::span<const std::byte> file) {
  // Tensor has no read-only kind; the mapping of a file is, so a write through it ends the process.
  auto* const data = const_cast<std::byte*>(file.data() + tensor.begin);
  if (tensor.type == QuantType::None) return HostTensor::plain({data, tensor.dtype, tensor.shape});
  const Tensor all{data, tensor.dtype, {static_cast<std::int64_t>(tensor.end - tensor.begin)}};
  return {.stored = all, .shape = tensor.shape, .type = tensor.type};
}

struct StoredFile {
  std::vector<StoredTensor> tensors;  // in the order of their bytes
  Json metadata;                      // an object; of safetensors files all values are strings
};

}  // namespace zimage
