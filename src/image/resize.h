// A part of a picture, in another size.
#pragma once

#include <cstdint>

#include "image/image.h"

namespace zimage {

// A rectangle of a picture, in its pixels and fractions of them.
struct Crop {
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;
};

// The largest part of a picture of `from` that has the proportions of `to`, around its middle.
struct Extent {
  std::int64_t width = 0;
  std::int64_t height = 0;
};
Crop middle_of(const Extent& from, const Extent& to);

// The part of `image` as `size` pixels, by Lanczos' filter of three lobes, widened where the part
// shrinks; the same bytes as Pillow's Image.resize(size, LANCZOS, box). Precondition: the part lies
// in the image; no extent is 0. Source: Pillow Resample.c.
Image resized(const Image& image, const Crop& part, const Extent& size);

}  // namespace zimage
