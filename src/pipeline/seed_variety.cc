// Noise on features, on the host.
#include "pipeline/seed_variety.h"

#include <algorithm>
#include <cmath>

#include "base/torch_rng.h"

namespace zimage {
namespace {

// Of the noise at amount 1, in spreads of the channel.
constexpr float kStrength = 4;

float median(std::span<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// A seed for each pair, all of whose bits count in its low 32. Source: Steele, Lea and Flood, Fast
// Splittable Pseudorandom Number Generators (the finalizer of SplitMix64).
std::uint64_t mixed(std::uint64_t seed, std::int64_t picture) {
  std::uint64_t z = seed + (static_cast<std::uint64_t>(picture) + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
  z = (z ^ z >> 27) * 0x94d049bb133111ebU;
  return z ^ z >> 31;
}

}  // namespace

std::int64_t varied_steps(std::int64_t steps, double amount) {
  return static_cast<std::int64_t>(std::ceil(amount * static_cast<double>(steps) / 2));
}

std::vector<float> channel_spread(std::span<const float> features, std::int64_t channels) {
  constexpr float kNormal = 1.4826F;
  const auto stride = static_cast<std::size_t>(channels);
  const std::size_t rows = features.size() / stride;
  std::vector<float> spread(stride);
  std::vector<float> column(rows);
  for (std::size_t channel = 0; channel < stride; ++channel) {
    for (std::size_t row = 0; row < rows; ++row) column[row] = features[row * stride + channel];
    const float middle = median(column);
    for (float& value : column) value = std::abs(value - middle);
    spread[channel] = kNormal * median(column);
  }
  return spread;
}

std::vector<float> varied_features(std::span<const float> features, std::int64_t channels,
                                   const Variety& variety) {
  const std::vector<float> spread = channel_spread(features, channels);
  std::vector<float> varied(features.size());
  TorchCpuGenerator(mixed(variety.seed, variety.picture)).normal(varied);
  const float scale = kStrength * static_cast<float>(variety.amount);
  for (std::size_t i = 0; i < varied.size(); ++i)
    varied[i] = features[i] + scale * spread[i % spread.size()] * varied[i];
  return varied;
}

}  // namespace zimage
