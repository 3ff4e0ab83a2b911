// Sinusoids.
#include "nn/timestep_embedding.h"

#include <cmath>

namespace zimage {

std::vector<float> timestep_embedding(std::span<const float> times, float scale,
                                      std::int64_t features) {
  const double log_period = std::log(10000.0);
  const std::int64_t half = features / 2;
  std::vector<float> table(times.size() * static_cast<std::size_t>(features));
  float* row = table.data();
  for (const float time : times) {
    for (std::int64_t i = 0; i < half; ++i) {
      const auto exponent =
          static_cast<float>(-log_period) * static_cast<float>(i) / static_cast<float>(half);
      const float angle = time * scale * std::exp(exponent);
      row[i] = std::cos(angle);
      row[half + i] = std::sin(angle);
    }
    row += features;
  }
  return table;
}

}  // namespace zimage
