// Noise levels of rectified-flow sampling. What enters: scheduler_config.json and the number of
// steps; what leaves: the sigmas from 1 down to 0. Follows diffusers
// FlowMatchEulerDiscreteScheduler.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/json.h"

namespace zimage {

// How noise levels are moved towards 1: by the constant `shift`, or by a figure that grows with the
// picture ("dynamic shifting").
enum class TimeShift : std::uint8_t { Static, Exponential, Linear };

// The part of scheduler_config.json that sampling depends on. Defaults are diffusers' own.
struct SchedulerConfig {
  std::int64_t train_timesteps = 1000;
  TimeShift time_shift = TimeShift::Static;
  double shift = 1.0;  // Static only
  // Exponential and Linear: mu is base_shift at base_image_tokens and max_shift at
  // max_image_tokens.
  double base_shift = 0.5;
  double max_shift = 1.15;
  std::int64_t base_image_tokens = 256;
  std::int64_t max_image_tokens = 4096;
};

// Throws InvalidFile for a value of a wrong type or range, and Unsupported, naming the key, for
// another scheduler or an option that changes the noise levels or the step.
SchedulerConfig read_scheduler_config(const JsonObject& json);

// The steps + 1 noise levels of Z-Image's pipeline, the last one 0: the shift applied to `steps`
// levels spaced evenly from 1 to 1 / steps. `image_tokens` is the number of 2x2 latent patches.
// Throws InvalidArgument when steps lie outside 1 to 10000, image_tokens below 1, or the shift
// leaves no finite levels or two that are equal. Source: diffusers ZImagePipeline.__call__,
// calculate_shift, set_timesteps.
std::vector<float> flow_match_sigmas(std::int64_t steps, const SchedulerConfig& config,
                                     std::int64_t image_tokens);

// The same for levels of the caller's choice, to which the shift is applied, as to the argument
// `sigmas` of the pipeline. Throws what check_noise_levels() throws as well.
std::vector<float> flow_match_sigmas(std::span<const float> levels, const SchedulerConfig& config,
                                     std::int64_t image_tokens);

// Throws InvalidArgument, naming the first one that is wrong, unless there is a level and each is
// above 0, at most 1 and below the one before.
void check_noise_levels(std::span<const float> levels);

// The same for levels spaced as the scheduler itself spaces them when a pipeline names none: evenly
// between the first and the last of its training levels, which a static shift has moved already.
std::vector<float> flow_match_default_sigmas(std::int64_t steps, const SchedulerConfig& config,
                                             std::int64_t image_tokens);

}  // namespace zimage
