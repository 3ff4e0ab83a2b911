// The coefficients. At noise level 1 the signal's share is 0 and its logarithm infinite: every
// quotient below is written so that it then has its limit.
#include "scheduler/sampler_step.h"

#include <algorithm>
#include <cmath>

namespace zimage {
namespace {

// Schedules of fewer steps end with a step of second order before the last, however many of the
// steps a run leaves out. Source: lower_order_second of DPMSolverMultistepScheduler.step, which
// counts all timesteps; get_timesteps of ZImageImg2ImgPipeline leaves these alone and sets the
// index to begin at.
constexpr std::int64_t kFewSteps = 15;

// Half the logarithm of the signal-to-noise ratio: lambda of DPM-Solver.
double log_ratio(double sigma) {
  return std::log(1.0 - sigma) - std::log(sigma);
}

SamplerStep step_of(double velocity, const std::array<double, 3>& predictions, double noise) {
  SamplerStep step{.velocity = static_cast<float>(velocity),
                   .predictions = {},
                   .noise = static_cast<float>(noise)};
  for (std::size_t i = 0; i < predictions.size(); ++i)
    step.predictions[i] = static_cast<float>(predictions[i]);
  return step;
}

// One step from a noise level to the next, with those that come before it.
class Interval {
 public:
  Interval(std::span<const float> sigmas, std::int64_t step) : sigmas_(sigmas), step_(step) {}

  double from() const { return level(0); }
  double to() const { return level(1); }
  double signal() const { return 1.0 - to(); }  // at its end
  double line() const { return to() - from(); }
  // Of lambda. Infinite from level 1 and to level 0.
  double length() const { return log_ratio(to()) - log_ratio(from()); }
  // That of the interval `back` before this one, in units of this one's.
  double ratio(std::int64_t back) const {
    return (log_ratio(level(1 - back)) - log_ratio(level(-back))) / length();
  }
  // exp(-length()), finite at both ends.
  double decay() const { return to() * (1.0 - from()) / (signal() * from()); }

 private:
  // The noise level `after` places behind the one that the step begins at.
  double level(std::int64_t after) const {
    return double{sigmas_[static_cast<std::size_t>(step_ + after)]};
  }

  std::span<const float> sigmas_;
  std::int64_t step_;
};

// The first evaluation of a step goes along its velocity to the next level; the second one, there,
// puts the mean of both in the first one's place.
SamplerStep heun_step(std::span<const float> sigmas, std::int64_t evaluation) {
  const double line = Interval(sigmas, evaluation / 2).line();
  if (evaluation % 2 == 0) return step_of(line, {}, 0);
  return step_of(line / 2, {0, -line / 2, 0}, 0);
}

SamplerStep second_order(const Interval& step) {
  const double half = -0.5 * step.line() / step.from() / step.ratio(1);
  return step_of(step.line(), {half, -half, 0}, 0);
}

SamplerStep third_order(const Interval& step) {
  const double h = step.length();
  const double r0 = step.ratio(1);
  const double r1 = step.ratio(2);
  const double growth = step.line() / step.from();  // signal * (exp(-h) - 1)
  const double slope = growth / h + step.signal();
  const double bend = (growth + step.signal() * h) / (h * h) - 0.5 * step.signal();
  const double share = r0 / (r0 + r1);
  const double newer = (slope * (1.0 + share) - bend / (r0 + r1)) / r0;
  const double older = (bend / (r0 + r1) - slope * share) / r1;
  return step_of(step.line(), {newer, older - newer, -older}, 0);
}

// x is p0 + from * v, so that its factor is one of both.
SamplerStep noisy_step(const Interval& step, std::int64_t order) {
  const double kept = step.to() / step.from() * step.decay() - 1.0;
  const double fresh = 1.0 - step.decay() * step.decay();
  const double half = order == 1 ? 0.0 : 0.5 * step.signal() * fresh / step.ratio(1);
  return step_of(kept * step.from(), {kept + step.signal() * fresh + half, -half, 0},
                 step.to() * std::sqrt(fresh));
}

// What the sampler has, as far as there is a history for it.
std::int64_t order_of(Sampler sampler, std::int64_t step, const Stations& stations) {
  const auto steps = static_cast<std::int64_t>(stations.sigmas.size()) - 1;
  if (step == steps - 1) return 1;
  std::int64_t order = sampler == Sampler::Dpmpp3M ? 3 : 2;
  if (step == steps - 2 && stations.skipped + steps < kFewSteps) order = 2;
  return std::min(order, step + 1);
}

}  // namespace

SamplerHistory history_of(Sampler sampler) {
  switch (sampler) {
    case Sampler::Euler:
    case Sampler::Dpmpp1: break;
    case Sampler::Heun: return {.length = 2, .prediction = Prediction::Velocity};
    case Sampler::Dpmpp2M:
    case Sampler::Dpmpp2MSde: return {.length = 2, .prediction = Prediction::Denoised};
    case Sampler::Dpmpp3M: return {.length = 3, .prediction = Prediction::Denoised};
  }
  return {};
}

bool adds_noise(Sampler sampler) {
  return sampler == Sampler::Dpmpp2MSde;
}

std::int64_t evaluations_of(Sampler sampler, std::int64_t steps) {
  return sampler == Sampler::Heun ? 2 * steps - 1 : steps;
}

std::int64_t level_of(Sampler sampler, std::int64_t evaluation) {
  return sampler == Sampler::Heun ? (evaluation + 1) / 2 : evaluation;
}

SamplerStep sampler_step(Sampler sampler, const Stations& stations, std::int64_t evaluation) {
  const std::span<const float> sigmas = stations.sigmas;
  if (sampler == Sampler::Heun) return heun_step(sigmas, evaluation);
  const Interval step(sigmas, evaluation);
  // Of first order the denoised picture lies on the line along the velocity.
  if (sampler == Sampler::Euler || sampler == Sampler::Dpmpp1) return step_of(step.line(), {}, 0);
  const std::int64_t order = order_of(sampler, evaluation, stations);
  if (sampler == Sampler::Dpmpp2MSde) return noisy_step(step, order);
  if (order == 3) return third_order(step);
  return order == 2 ? second_order(step) : step_of(step.line(), {}, 0);
}

}  // namespace zimage
