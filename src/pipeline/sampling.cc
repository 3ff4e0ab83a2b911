// Sums of tensors.
#include "pipeline/sampling.h"

#include <algorithm>

namespace zimage {
namespace {

// The prediction of this evaluation takes the place of the oldest.
void remember(Backend& be, SamplerState& state, Prediction prediction, float sigma) {
  std::vector<Tensor>& all = state.predictions;
  if (all.empty()) return;
  std::rotate(all.begin(), all.end() - 1, all.end());
  if (prediction == Prediction::Velocity) {
    be.copy(all.front(), state.velocity);
  } else {
    be.copy(all.front(), state.latents);
    be.add_scaled(all.front(), state.velocity, sigma);
  }
}

}  // namespace

SamplerState make_sampler_state(Arena::Frame& frame, Sampler sampler, const Tensor& velocity) {
  const Shape& shape = velocity.shape;
  SamplerState state{.latents = frame.make(DType::F32, shape),
                     .velocity = velocity,
                     .predictions = {},
                     .noise = {}};
  for (std::int64_t i = 0; i < history_of(sampler).length; ++i)
    state.predictions.push_back(frame.make(DType::F32, shape));
  if (adds_noise(sampler)) state.noise = frame.make(DType::F32, shape);
  return state;
}

void advance(Backend& be, SamplerState& state, Prediction prediction, const SamplerStep& step,
             float sigma) {
  remember(be, state, prediction, sigma);
  const auto add = [&](const Tensor& x, float factor) {
    if (factor != 0) be.add_scaled(state.latents, x, factor);
  };
  // Velocities are stored with the network's sign.
  add(state.velocity, -step.velocity);
  const float sign = prediction == Prediction::Velocity ? -1.0F : 1.0F;
  for (std::size_t i = 0; i < state.predictions.size(); ++i)
    add(state.predictions[i], sign * step.predictions[i]);
  add(state.noise, step.noise);
}

}  // namespace zimage
