// Index arithmetic on the host.
#include "pipeline/latents.h"

#include "base/torch_rng.h"

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
  const auto size = static_cast<std::size_t>(shape.elements());
  std::vector<float> planes(static_cast<std::size_t>(count) * size);
  if (rng == RngKind::Cpu) {
    TorchCpuGenerator(seed).normal(planes);
  } else {
    TorchCudaGenerator(seed).normal(planes);
  }
  std::vector<float> tokens;
  tokens.reserve(planes.size());
  for (std::size_t first = 0; first < planes.size(); first += size) {
    const std::vector<float> one =
        tokens_from_planes(std::span<const float>(planes).subspan(first, size), shape);
    tokens.insert(tokens.end(), one.begin(), one.end());
  }
  return tokens;
}

std::vector<float> map_from_tokens(std::span<const float> tokens, const LatentShape& shape,
                                   float scaling, float shift) {
  std::vector<float> map(tokens.size());
  auto value = map.begin();
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    for (std::int64_t column = 0; column < shape.columns; ++column) {
      for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
        *value++ = tokens[token_index(shape, channel, row, column)] / scaling + shift;
      }
    }
  }
  return map;
}

}  // namespace zimage
