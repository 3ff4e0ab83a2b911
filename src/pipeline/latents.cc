// Index arithmetic on the host.
#include "pipeline/latents.h"

#include <algorithm>
#include <cmath>

namespace zimage {
namespace {

// Where element (channel, row, column) of a latent lies among its tokens.
std::size_t token_index(const LatentShape& s, std::int64_t channel, std::int64_t row,
                        std::int64_t column) {
  const std::int64_t token = row / s.patch * (s.columns / s.patch) + column / s.patch;
  const std::int64_t place = row % s.patch * s.patch + column % s.patch;
  return static_cast<std::size_t>((token * s.patch * s.patch + place) * s.channels + channel);
}

}  // namespace

std::vector<float> tokens_from_planes(std::span<const float> planes, const LatentShape& shape) {
  std::vector<float> tokens(planes.size());
  auto value = planes.begin();
  for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      for (std::int64_t column = 0; column < shape.columns; ++column) {
        tokens[token_index(shape, channel, row, column)] = *value++;
      }
    }
  }
  return tokens;
}

std::vector<float> noise_tokens(const LatentShape& shape, std::int64_t count, std::uint64_t seed,
                                RngKind rng) {
  NoiseDraws draws(shape, count, seed, rng);
  const std::span<const float> tokens = draws.get(0);
  return {tokens.begin(), tokens.end()};
}

NoiseDraws::NoiseDraws(const LatentShape& shape, std::int64_t count, std::uint64_t seed,
                       RngKind rng, Sample sample)
    : shape_(shape),
      count_(count),
      seed_(seed),
      rng_(rng),
      with_sample_(sample),
      generator_(TorchCpuGenerator(seed)) {
  restart();
}

void NoiseDraws::restart() {
  if (rng_ == RngKind::Cpu) {
    generator_ = TorchCpuGenerator(seed_);
  } else {
    generator_ = TorchCudaGenerator(seed_);
  }
  drawn_ = 0;
  if (with_sample_ == Sample::First) sample_ = tokens_from_planes(draw_planes(1), shape_);
  draw();
}

std::vector<float> NoiseDraws::draw_planes(std::int64_t count) {
  std::vector<float> planes(static_cast<std::size_t>(count * shape_.elements()));
  std::visit([&](auto& generator) { generator.normal(planes); }, generator_);
  return planes;
}

void NoiseDraws::draw() {
  const auto size = static_cast<std::size_t>(shape_.elements());
  const std::vector<float> planes = draw_planes(count_);
  tokens_.clear();
  tokens_.reserve(planes.size());
  for (std::size_t first = 0; first < planes.size(); first += size) {
    const std::vector<float> one =
        tokens_from_planes(std::span<const float>(planes).subspan(first, size), shape_);
    tokens_.insert(tokens_.end(), one.begin(), one.end());
  }
  ++drawn_;
}

std::span<const float> NoiseDraws::get(std::int64_t index) {
  if (index + 1 < drawn_) restart();
  while (drawn_ <= index) draw();
  return tokens_;
}

std::vector<float> map_from_tokens(std::span<const float> tokens, const LatentShape& shape,
                                   const LatentScale& scale) {
  std::vector<float> map(tokens.size());
  auto value = map.begin();
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    for (std::int64_t column = 0; column < shape.columns; ++column) {
      for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
        *value++ = tokens[token_index(shape, channel, row, column)] / scale.scaling + scale.shift;
      }
    }
  }
  return map;
}

std::vector<float> sampled_tokens(std::span<const float> moments, std::span<const float> noise,
                                  const LatentShape& shape, const LatentScale& scale) {
  constexpr float kLeast = -30.0F;
  constexpr float kMost = 20.0F;
  std::vector<float> tokens(noise.size());
  auto mean = moments.begin();
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    for (std::int64_t column = 0; column < shape.columns; ++column, mean += 2 * shape.channels) {
      for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
        const std::size_t at = token_index(shape, channel, row, column);
        const float variance = std::clamp(mean[shape.channels + channel], kLeast, kMost);
        const float value = mean[channel] + std::exp(0.5F * variance) * noise[at];
        tokens[at] = (value - scale.shift) * scale.scaling;
      }
    }
  }
  return tokens;
}

}  // namespace zimage
