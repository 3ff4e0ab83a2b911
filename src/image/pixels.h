// The decoder's numbers as 8-bit pixels.
#pragma once

#include <cstdint>
#include <span>

#include "base/tensor.h"

namespace zimage {

// Numbers from -1 to 1, values outside clamped, to 8 bits, halves to even; as many as `out` has.
// `values` is f32 or bf16 in host memory. Returns false when one of them is NaN or infinite; `out`
// is then undefined. Source: diffusers VaeImageProcessor.denormalize and numpy_to_pil.
bool to_bytes(std::span<std::uint8_t> out, const Tensor& values);

}  // namespace zimage
