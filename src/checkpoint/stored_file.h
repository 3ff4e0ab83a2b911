// What the header of a weight file says, whatever its format: where each tensor lies, and the facts
// beside them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/dtype.h"
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

struct StoredFile {
  std::vector<StoredTensor> tensors;  // in the order of their bytes
  Json metadata;                      // an object; of safetensors files all values are strings
};

}  // namespace zimage
