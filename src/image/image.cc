// Pixels without a file format.
#include "image/image.h"

#include <algorithm>
#include <cassert>
#include <cstddef>

namespace zimage {

Image crop(const Image& image, std::int64_t width, std::int64_t height) {
  assert(0 <= width && width <= image.width && 0 <= height && height <= image.height);
  Image result{.width = width, .height = height, .rgb = {}};
  result.rgb.resize(static_cast<std::size_t>(width * height * 3));
  for (std::int64_t y = 0; y < height; ++y) {
    std::copy_n(image.rgb.begin() + y * image.width * 3, width * 3,
                result.rgb.begin() + y * width * 3);
  }
  return result;
}

}  // namespace zimage
