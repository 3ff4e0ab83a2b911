// What latents are where nothing has been drawn: noise alone, or a picture's latents with as much
// noise as a noise level has. What enters: a generator's draws, and the encoder's result; what
// leaves: tokens.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "pipeline/latents.h"

namespace zimage {

class Beginning {
 public:
  // `noise` has drawn what a picture is sampled with (NoiseDraws::sample) where there will be one.
  explicit Beginning(NoiseDraws noise) : noise_(std::move(noise)) {}

  // Takes the latents of a picture from the encoder's `moments` [rows, columns, 2 channels], as
  // sampled_tokens() does, for all pictures of the drawing.
  void set_picture(std::span<const float> moments, const LatentScale& scale);

  // Tokens of pictures [first, first + count) at noise level `sigma`: sigma * noise + (1 - sigma) *
  // picture, without a picture the noise. The result lives until the next call.
  // Source: diffusers FlowMatchEulerDiscreteScheduler.scale_noise.
  std::span<const float> at(std::int64_t first, std::int64_t count, float sigma);

  // New noise, draw `draw` of the generator behind the latents' own, which is draw 0.
  std::span<const float> noise(std::int64_t first, std::int64_t draw);

 private:
  NoiseDraws noise_;
  std::vector<float> picture_;  // tokens of one picture; empty: none
  std::vector<float> start_;    // draw 0 of all pictures, with a picture
  std::vector<float> mixed_;
};

}  // namespace zimage
