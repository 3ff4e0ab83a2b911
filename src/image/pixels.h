// The decoder's numbers as 8-bit pixels.
#pragma once

#include <cstdint>
#include <span>

#include "image/image.h"

namespace zimage {

// [height, width, 3] from -1 to 1, values outside clamped, to 8 bits, halves to even.
// Source: diffusers VaeImageProcessor.denormalize and numpy_to_pil.
Image to_image(std::span<const float> pixels, std::int64_t width, std::int64_t height);

}  // namespace zimage
