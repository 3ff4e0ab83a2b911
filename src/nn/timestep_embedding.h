// A step's time as a vector of waves.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace zimage {

// [times, features]: cosines, then sines, of time * scale at features / 2 frequencies from 1 down
// to almost 1e-4. `features` is even. In f32, as the reference computes it. Source: diffusers
// TimestepEmbedder.timestep_embedding of ZImage.
std::vector<float> timestep_embedding(std::span<const float> times, float scale,
                                      std::int64_t features);

}  // namespace zimage
