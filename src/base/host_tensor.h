// A view of a tensor as a file holds it, in host memory: plain numbers, or quantized ones with
// their scales. Owners are Checkpoint and its parts; a HostTensor is copied freely and frees
// nothing.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/quant_type.h"
#include "base/tensor.h"

namespace zimage {

struct HostTensor {
  // Plain numbers in their shape; of a quantized tensor all its bytes, U8 [n].
  Tensor stored;
  Shape shape;  // of the numbers
  QuantType type = QuantType::None;
  // Fp8, Int8: f32, one element or one for each row of `stored`, or absent for 1. Nvfp4: f32 [1].
  Tensor scale = {};
  // Nvfp4: U8, an e4m3 number for each block, in tiles of 128 rows and 4 columns. Source:
  // "1D block scaling factors layout" of NVIDIA's cuBLAS documentation.
  Tensor block_scale = {};
  // Int8: each group of so many columns is multiplied by a Hadamard matrix; 0 for none.
  std::int64_t rotation = 0;
  // The row of `stored` and of the scales that is this tensor's first; 0 for plain numbers.
  std::int64_t first_row = 0;

  static HostTensor plain(const Tensor& tensor) {
    return {.stored = tensor, .shape = tensor.shape};
  }

  bool empty() const { return stored.empty(); }
  bool is_quantized() const { return type != QuantType::None; }
  std::int64_t elements() const { return shape.elements(); }
  // Rows lie along the outermost axis; fewer than two axes make one row.
  std::int64_t row_count() const { return shape.rank() < 2 ? 1 : shape[0]; }
  std::int64_t row_elements() const {
    const std::int64_t rows = row_count();
    return rows == 0 ? 0 : elements() / rows;
  }
  // Of one row, without scales that lie beside it.
  std::size_t row_bytes() const {
    if (!is_quantized()) return static_cast<std::size_t>(row_elements()) * size_of(stored.dtype);
    const QuantBlock block = block_of(type);
    return static_cast<std::size_t>(row_elements() / block.elements) * block.bytes;
  }
  // Of all rows, with the scales that lie beside them.
  std::size_t bytes() const {
    const std::size_t all = row_bytes() * static_cast<std::size_t>(row_count());
    return all + (scale.empty() ? 0 : scale.bytes()) +
           (block_scale.empty() ? 0 : block_scale.bytes());
  }
  // Where its rows lie, without scales that lie beside them; of a quantized tensor as U8.
  Tensor numbers() const {
    if (!is_quantized()) return stored;
    const auto row = static_cast<std::int64_t>(row_bytes());
    return stored.slice(first_row * row, (first_row + row_count()) * row);
  }
  // "bf16", "q4_k".
  std::string_view type_name() const {
    return is_quantized() ? name_of(type) : name_of(stored.dtype);
  }

  // Rows [begin, end), sharing memory. Precondition: two axes or more.
  HostTensor rows(std::int64_t begin, std::int64_t end) const {
    assert(shape.rank() >= 2 && 0 <= begin && begin <= end && end <= shape[0]);
    if (!is_quantized()) return plain(stored.rows(begin, end));
    std::int64_t extents[Shape::kMaxRank] = {end - begin};
    for (int axis = 1; axis < shape.rank(); ++axis) extents[axis] = shape[axis];
    HostTensor part = *this;
    part.shape = Shape({extents, static_cast<std::size_t>(shape.rank())});
    part.first_row += begin;
    return part;
  }
};

}  // namespace zimage
