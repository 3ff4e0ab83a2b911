// Pictures without a picture in them: black, or of one colour. What enters: pixels or latents; what
// leaves: whether they are all the same.
#pragma once

#include <cstdint>
#include <span>

#include "image/image.h"

namespace zimage {

// Whether in each channel all pixels are within one level of each other, which even a drawn black
// square is not: the decoder leaves some levels of noise. False for fewer than 64x64 pixels, where
// one colour says nothing. Looks at no more pixels than it takes.
bool is_flat(const Image& image);

// Whether the rows of `values`, of `width` numbers each, are all equal to a thousandth of 1.
bool are_rows_equal(std::span<const float> values, std::int64_t width);

}  // namespace zimage
