// Samplers as arithmetic. What enters: a sampler, the noise levels and the number of an evaluation
// (a forward of the network); what leaves: where it takes place, and how the latents change by it.
// Follows diffusers FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler and
// DPMSolverMultistepScheduler with flow sigmas, whose solver_type is "midpoint".
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "scheduler/sampler.h"

namespace zimage {

// What later evaluations need of earlier ones.
enum class Prediction : std::uint8_t {
  Velocity,
  Denoised,  // the latents minus sigma times their velocity
};

// How many predictions a sampler looks at, that of the current evaluation included, and which.
struct SamplerHistory {
  std::int64_t length = 0;
  Prediction prediction = Prediction::Velocity;
};
SamplerHistory history_of(Sampler sampler);

// Whether steps add noise of their own.
bool adds_noise(Sampler sampler);

// Evaluations of a run of `steps` steps.
std::int64_t evaluations_of(Sampler sampler, std::int64_t steps);

// The index among the noise levels of the one at which an evaluation takes place.
std::int64_t level_of(Sampler sampler, std::int64_t evaluation);

// x += velocity * v + predictions[0] * p0 + predictions[1] * p1 + ... + noise * N(0, 1)
//   x   the latents, with which the network was evaluated
//   v   their velocity, of the sign that diffusers' schedulers take
//   pi  the prediction of i evaluations ago; p0 is that of v
struct SamplerStep {
  float velocity = 0;
  std::array<float, 3> predictions = {};
  float noise = 0;
};

// The noise levels of a run.
struct Stations {
  std::span<const float> sigmas;  // steps + 1, each below the one before; at most 1 to exactly 0
  std::int64_t skipped = 0;       // steps of the schedule that the run leaves out, before these
};

// What evaluation number `evaluation` of the run does. Depends on nothing else.
SamplerStep sampler_step(Sampler sampler, const Stations& stations, std::int64_t evaluation);

}  // namespace zimage
