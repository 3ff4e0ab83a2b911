// What a sampler does to the latents of a pass, on a backend.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "scheduler/sampler_step.h"

namespace zimage {

// The latents of a pass and what the next step looks at. All tensors have one shape, f32; views of
// arena memory.
struct SamplerState {
  Tensor latents;
  Tensor velocity;                  // negated, as the network returns it
  std::vector<Tensor> predictions;  // newest first
  Tensor noise;                     // absent where the sampler adds none
};

// All but the velocity, which is given, with undefined contents.
SamplerState make_sampler_state(Arena::Frame& frame, Sampler sampler, const Tensor& velocity);

// Changes the latents by `step`, after the network was evaluated with them at noise level `sigma`.
// state.noise holds N(0, 1) where the step asks for it.
void advance(Backend& backend, SamplerState& state, Prediction prediction, const SamplerStep& step,
             float sigma);

}  // namespace zimage
