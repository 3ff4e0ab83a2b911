// Quantized numbers to floats. What enters: a tensor as a file holds it; what leaves: its rows as
// f32.
#pragma once

#include <cstdint>
#include <string>

#include "base/host_tensor.h"

namespace zimage {

// Throws InvalidFile, with `name` for the tensor, when the bytes and scales of a quantized tensor
// are not what its shape and type ask for; without effect on plain numbers.
void check_quantized(const HostTensor& tensor, const std::string& name);

// Rows [first, last) of `tensor` to `out`, one after another; plain f32, f16 and bf16 numbers are
// widened. Throws Unsupported for plain numbers of another type. Precondition: 0 <= first <= last
// <= row_count(), and check_quantized() has passed.
void dequantize_rows(float* out, const HostTensor& tensor, std::int64_t first, std::int64_t last);

// The offset of the scale of block `column` of row `row` in HostTensor::block_scale, where a row
// has `columns` blocks.
std::size_t tiled_scale_offset(std::int64_t row, std::int64_t column, std::int64_t columns);

// Multiplies each group of `size` of the `count` numbers by the normalized Hadamard matrix that is
// the Kronecker power of H4 = [1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1] / 2, which is its own
// inverse. Precondition: `size` is a power of 4 that divides `count`. Source: docs/int8_convrot.md
// of leejet/stable-diffusion.cpp.
void rotate_groups(float* values, std::int64_t count, std::int64_t size);

}  // namespace zimage
