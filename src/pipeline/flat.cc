// Extremes, left as soon as they are apart.
#include "pipeline/flat.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace zimage {

bool is_flat(const Image& image) {
  constexpr std::int64_t kFewestPixels = 64 * 64;
  constexpr int kLevels = 1;
  if (image.width * image.height < kFewestPixels) return false;
  std::array<int, 3> least{255, 255, 255};
  std::array<int, 3> most{0, 0, 0};
  for (std::size_t i = 0; i < image.rgb.size(); ++i) {
    const int value = image.rgb[i];
    int& low = least[i % 3];
    int& high = most[i % 3];
    low = std::min(low, value);
    high = std::max(high, value);
    if (high - low > kLevels) return false;
  }
  return true;
}

bool are_rows_equal(std::span<const float> values, std::int64_t width) {
  constexpr float kNear = 1e-3F;
  const auto row = static_cast<std::size_t>(width);
  for (std::size_t i = row; i < values.size(); ++i) {
    if (std::abs(values[i] - values[i % row]) > kNear) return false;
  }
  return true;
}

}  // namespace zimage
