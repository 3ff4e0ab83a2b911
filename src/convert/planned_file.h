// What a file of weights will hold, and where, before a number of it is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/host_tensor.h"

namespace zimage {

// How numbers are stored: a plain dtype, or a type of quantized ones.
struct Storage {
  DType dtype = DType::BF16;
  QuantType type = QuantType::None;

  bool is_quantized() const { return type != QuantType::None; }
  std::string_view name() const { return is_quantized() ? name_of(type) : name_of(dtype); }
  // Of whole blocks. Precondition: `elements` is a multiple of the block.
  std::uint64_t bytes_of(std::int64_t elements) const {
    const QuantBlock block = is_quantized() ? block_of(type) : QuantBlock{1, size_of(dtype)};
    return static_cast<std::uint64_t>(elements / block.elements) * block.bytes;
  }
  friend bool operator==(const Storage&, const Storage&) = default;
};

struct PlannedTensor {
  std::string name;
  Shape shape;
  Storage storage;
  // Stacked by rows; empty for what is not taken from the model.
  std::vector<HostTensor> sources = {};
  // In place of sources: bytes as they are, or the fp8 scale of the tensor of this name.
  std::string bytes = {};
  std::string scale_of = {};
  std::uint64_t offset = 0;  // in the file

  std::uint64_t size() const { return storage.bytes_of(shape.elements()); }
};

struct PlannedFile {
  std::string path;    // below the output
  std::string header;  // everything before the first tensor
  std::vector<PlannedTensor> tensors;
  std::uint64_t size = 0;
};

}  // namespace zimage
