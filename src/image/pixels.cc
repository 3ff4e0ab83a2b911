// Scaling, clamping, rounding.
#include "image/pixels.h"

#include <algorithm>
#include <cstdint>

namespace zimage {

Image to_image(std::span<const float> pixels, std::int64_t width, std::int64_t height) {
  Image image{.width = width, .height = height, .rgb = std::vector<std::uint8_t>(pixels.size())};
  // Adding 2^23 leaves no room for fractions: rounds to nearest, ties to even, without a call for
  // each of millions of numbers.
  constexpr float kNoFractions = 0x1p23F;
  std::transform(pixels.begin(), pixels.end(), image.rgb.begin(), [](float value) {
    const float scaled = std::clamp(value * 0.5F + 0.5F, 0.0F, 1.0F) * 255.0F;
    return static_cast<std::uint8_t>(static_cast<std::int32_t>(scaled + kNoFractions) -
                                     (std::int32_t{1} << 23));
  });
  return image;
}

}  // namespace zimage
