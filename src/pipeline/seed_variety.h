// Different pictures from different seeds: what the first steps of each picture see in place of its
// prompt's features. What enters: the features and a seed; what leaves: features with noise.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace zimage {

// How many of `steps` steps see other features, up to the first half, in which it is settled what
// lies where: beyond some strength noise has no more effect, and more steps do.
std::int64_t varied_steps(std::int64_t steps, double amount);

// How far the values of each channel lie apart, [channels]: the median distance from the channel's
// median, times 1.4826, which for normal values is their standard deviation. Medians, because one
// token of Qwen3's has values hundreds of times those of the others. features [L, channels].
std::vector<float> channel_spread(std::span<const float> features, std::int64_t channels);

// Which noise a picture gets.
struct Variety {
  double amount = 0;  // 0 to 1
  std::uint64_t seed = 0;
  std::int64_t picture = 0;  // of those of the seed
};

// features + noise, [L, channels]: noise N(0, 1) of a generator of its own, times the channel's
// spread, the amount and a constant.
std::vector<float> varied_features(std::span<const float> features, std::int64_t channels,
                                   const Variety& variety);

}  // namespace zimage
