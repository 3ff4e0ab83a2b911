// Samplers against recorded runs of diffusers' schedulers, and what every sampler has to keep to.
#include "scheduler/sampler_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/torch_rng.h"
#include "golden_file.h"

namespace zimage {
namespace {

using Values = std::vector<float>;
using VelocityFn = std::function<float(float x, float sigma)>;

// The latents after each evaluation, by the plainest reading of SamplerStep.
std::vector<Values> run(Sampler sampler, const Values& sigmas, Values x, const VelocityFn& velocity,
                        TorchCpuGenerator noise) {
  const SamplerHistory history = history_of(sampler);
  const auto steps = static_cast<std::int64_t>(sigmas.size()) - 1;
  std::deque<Values> predictions;
  std::vector<Values> latents;
  for (std::int64_t e = 0; e < evaluations_of(sampler, steps); ++e) {
    const float sigma = sigmas[static_cast<std::size_t>(level_of(sampler, e))];
    const SamplerStep step = sampler_step(sampler, {.sigmas = sigmas}, e);
    Values fresh(x.size());
    if (adds_noise(sampler)) noise.normal(fresh);
    Values now(x.size());
    Values v(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      v[i] = velocity(x[i], sigma);
      now[i] = history.prediction == Prediction::Velocity ? v[i] : x[i] - sigma * v[i];
    }
    predictions.push_front(now);
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] += step.velocity * v[i] + step.noise * fresh[i];
      for (std::size_t k = 0; k < std::min(predictions.size(), step.predictions.size()); ++k)
        x[i] += step.predictions[k] * predictions[k][i];
    }
    latents.push_back(x);
  }
  return latents;
}

float recorded_velocity(float x, float sigma) {
  return std::sin(x * 1.7F) + 0.3F * x - sigma;
}

// Heun's levels are recorded once for each evaluation.
Values levels_of(Sampler sampler, const Values& recorded) {
  if (sampler != Sampler::Heun) return recorded;
  Values sigmas = recorded;
  sigmas.erase(std::unique(sigmas.begin(), sigmas.end()), sigmas.end());
  return sigmas;
}

struct Trace {
  const char* name;
  Sampler sampler;
};

class SamplerTrace : public testing::TestWithParam<Trace> {};

// Right code differs by the rounding of float32: 3e-6 at most. A last step but one of third order
// where the reference takes second, or a second difference of the wrong interval, moves values by
// 2e-3 and more; Heun's first velocity left out by 0.7.
TEST_P(SamplerTrace, EqualsTheReferencesAfterEveryEvaluation) {
  static const GoldenFile kFile(ZIMAGE_SOURCE_DIR "/tests/golden/scheduler_traces.safetensors");
  const auto [name, sampler] = GetParam();
  for (const int steps : {4, 8, 9, 20}) {
    const std::string prefix = std::string(name) + "/" + std::to_string(steps) + "/";
    const Values sigmas = levels_of(sampler, kFile.values(prefix + "sigmas"));
    ASSERT_EQ(sigmas.size(), static_cast<std::size_t>(steps) + 1);
    const std::vector<Values> found =
        run(sampler, sigmas, kFile.values(prefix + "x0"), recorded_velocity, TorchCpuGenerator(5));
    ASSERT_FALSE(kFile.entries().contains(prefix + "x" + std::to_string(found.size() + 1)));
    double largest = 0;
    for (std::size_t e = 0; e < found.size(); ++e) {
      const Values& expected = kFile.values(prefix + "x" + std::to_string(e + 1));
      ASSERT_EQ(found[e].size(), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i)
        largest = std::max(largest, std::abs(double{found[e][i]} - double{expected[i]}));
    }
    EXPECT_LE(largest, 1e-5) << prefix;
    RecordProperty(std::to_string(steps), std::to_string(largest));
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, SamplerTrace,
                         testing::Values(Trace{"heun", Sampler::Heun},
                                         Trace{"dpmpp_1", Sampler::Dpmpp1},
                                         Trace{"dpmpp_2m", Sampler::Dpmpp2M},
                                         Trace{"dpmpp_3m", Sampler::Dpmpp3M},
                                         Trace{"dpmpp_2m_sde", Sampler::Dpmpp2MSde}),
                         [](const auto& param) { return std::string(param.param.name); });

const Values kTurbo = {1.0F, 0.95454545F, 0.9F, 0.83333333F, 0.75F, 0.64285714F, 0.5F, 0.3F, 0.0F};

// Where the denoised picture is everywhere the same, it is what comes out, noise or not.
TEST(SamplerStep, ReachesThePictureThatEveryEvaluationSees) {
  for (const Sampler sampler : samplers()) {
    for (const Values& sigmas : {kTurbo, Values{1.0F, 0.0F}, Values{0.7F, 0.2F, 0.0F}}) {
      const auto towards = [](float x, float sigma) { return (x - 0.25F) / sigma; };
      const std::vector<Values> latents =
          run(sampler, sigmas, {1.5F, -0.5F}, towards, TorchCpuGenerator(1));
      EXPECT_NEAR(latents.back()[0], 0.25F, 1e-6) << name_of(sampler);
      EXPECT_NEAR(latents.back()[1], 0.25F, 1e-6) << name_of(sampler);
    }
  }
}

// Along a velocity that does not change there is nothing to correct.
TEST(SamplerStep, FollowsAStraightLine) {
  for (const Sampler sampler : samplers()) {
    if (adds_noise(sampler)) continue;
    const std::vector<Values> latents =
        run(sampler, kTurbo, {1.0F}, [](float, float) { return 2.0F; }, TorchCpuGenerator(1));
    EXPECT_NEAR(latents.back()[0], -1.0F, 1e-6) << name_of(sampler);
  }
}

TEST(SamplerStep, IsFiniteFromTheFirstLevelToTheLast) {
  for (const Sampler sampler : samplers()) {
    for (const Values& sigmas : {kTurbo, Values{1.0F, 1e-6F, 0.0F}, Values{1.0F, 0.9999999F, 0.0F},
                                 Values{1.0F, 0.5F, 0.4999999F, 0.4999998F, 0.0F}}) {
      const auto steps = static_cast<std::int64_t>(sigmas.size()) - 1;
      for (std::int64_t e = 0; e < evaluations_of(sampler, steps); ++e) {
        const SamplerStep step = sampler_step(sampler, {.sigmas = sigmas}, e);
        EXPECT_TRUE(std::isfinite(step.velocity) && std::isfinite(step.noise) &&
                    std::all_of(step.predictions.begin(), step.predictions.end(),
                                [](float c) { return std::isfinite(c); }))
            << name_of(sampler) << " " << e;
      }
    }
  }
}

// x moves by exactly the difference of two noise levels, as in the reference's own scheduler.
TEST(SamplerStep, OfEulerIsTheDifferenceOfLevels) {
  for (std::size_t i = 0; i + 1 < kTurbo.size(); ++i) {
    const SamplerStep step =
        sampler_step(Sampler::Euler, {.sigmas = kTurbo}, static_cast<std::int64_t>(i));
    EXPECT_EQ(step.velocity, kTurbo[i + 1] - kTurbo[i]);
    EXPECT_THAT(step.predictions, testing::Each(0.0F));
    EXPECT_EQ(step.noise, 0.0F);
  }
}

// From the first evaluation that has the history, a run that begins within its schedule does what
// the whole one does there: the reference counts the schedule's steps, not those that remain.
TEST(SamplerStep, IsThatOfTheWholeScheduleWhereARunBeginsLater) {
  for (const std::int64_t steps : {14, 15, 20}) {
    Values whole;
    for (std::int64_t i = steps; i >= 0; --i)
      whole.push_back(static_cast<float>(i) / static_cast<float>(steps));
    const std::int64_t skipped = 8;
    const auto rest = std::span<const float>(whole).subspan(skipped);
    for (const Sampler sampler : samplers()) {
      if (sampler == Sampler::Heun) continue;  // knows no count
      for (std::int64_t e = 2; e < steps - skipped; ++e) {
        const SamplerStep later = sampler_step(sampler, {.sigmas = rest, .skipped = skipped}, e);
        const SamplerStep same = sampler_step(sampler, {.sigmas = whole}, skipped + e);
        EXPECT_EQ(later.velocity, same.velocity) << name_of(sampler) << " " << steps << " " << e;
        EXPECT_EQ(later.predictions, same.predictions) << name_of(sampler) << " " << steps;
        EXPECT_EQ(later.noise, same.noise) << name_of(sampler) << " " << steps << " " << e;
      }
    }
  }
}

// Of 20 steps 12 are drawn, which are few, of a schedule that is not.
TEST(SamplerStep, OfThirdOrderEndsByTheCountOfTheSchedule) {
  Values sigmas;
  for (int i = 12; i >= 0; --i) sigmas.push_back(static_cast<float>(i) / 20.0F);
  const auto order_of_last_but_one = [&](std::int64_t skipped) {
    const SamplerStep step =
        sampler_step(Sampler::Dpmpp3M, {.sigmas = sigmas, .skipped = skipped}, 10);
    return step.predictions[2] != 0 ? 3 : 2;
  };
  EXPECT_EQ(order_of_last_but_one(0), 2);
  EXPECT_EQ(order_of_last_but_one(2), 2);
  EXPECT_EQ(order_of_last_but_one(3), 3);
  EXPECT_EQ(order_of_last_but_one(8), 3);
}

TEST(SamplerStep, OfHeunTakesTwoEvaluationsButAtTheEnd) {
  EXPECT_EQ(evaluations_of(Sampler::Heun, 1), 1);
  EXPECT_EQ(evaluations_of(Sampler::Heun, 8), 15);
  EXPECT_EQ(evaluations_of(Sampler::Dpmpp3M, 8), 8);
  std::vector<std::int64_t> levels;
  for (std::int64_t e = 0; e < 5; ++e) levels.push_back(level_of(Sampler::Heun, e));
  EXPECT_THAT(levels, testing::ElementsAre(0, 1, 1, 2, 2));
}

TEST(Samplers, AreFoundByTheirNames) {
  EXPECT_EQ(samplers().size(), 6U);
  for (const Sampler sampler : samplers()) EXPECT_EQ(find_sampler(name_of(sampler)), sampler);
  EXPECT_EQ(find_sampler("sde-dpmsolver++"), Sampler::Dpmpp2MSde);
  EXPECT_EQ(find_sampler("Euler"), std::nullopt);
  EXPECT_EQ(find_sampler(""), std::nullopt);
}

}  // namespace
}  // namespace zimage
