// Scaling, clamping, rounding.
#include "image/pixels.h"

#include <algorithm>
#include <cmath>

namespace zimage {

Image to_image(std::span<const float> pixels, std::int64_t width, std::int64_t height) {
  Image image{.width = width, .height = height, .rgb = std::vector<std::uint8_t>(pixels.size())};
  std::transform(pixels.begin(), pixels.end(), image.rgb.begin(), [](float value) {
    return static_cast<std::uint8_t>(
        std::nearbyint(std::clamp(value * 0.5F + 0.5F, 0.0F, 1.0F) * 255.0F));
  });
  return image;
}

}  // namespace zimage
