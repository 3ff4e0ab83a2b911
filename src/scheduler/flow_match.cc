// The reference computes its own levels in float32 and a pipeline's in numpy's mixture; each
// function rounds where its original does, so that the values are equal, not only close.
#include "scheduler/flow_match.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/quote.h"

namespace zimage {
namespace {

constexpr std::int64_t kMaxSteps = 10000;
constexpr double kMaxShift = 1e6;  // far beyond use, and finite in float32
// Below it the reference's formula loses more than a hundred-thousandth of the level.
constexpr double kLeastReferenceShift = 0.01;

[[noreturn]] void throw_range(const JsonObject& json, const char* key, const std::string& found,
                              const char* expected) {
  throw Error(ErrorCode::InvalidFile,
              json.name() + ": \"" + key + "\" is " + found + ", expected " + expected);
}

double read_shift(const JsonObject& json, const char* key, double fallback) {
  const double value = json.number(key, fallback);
  if (!(std::abs(value) <= kMaxShift)) {
    throw_range(json, key, std::to_string(value), "a number from -1e6 to 1e6");
  }
  return value;
}

TimeShift read_time_shift(const JsonObject& json) {
  if (!json.boolean("use_dynamic_shifting", false)) return TimeShift::Static;
  const std::string type = json.string("time_shift_type", "exponential");
  if (type == "exponential") return TimeShift::Exponential;
  if (type == "linear") return TimeShift::Linear;
  throw Error(ErrorCode::Unsupported, json.name() + ": \"time_shift_type\" is " + quote(type) +
                                          ", expected \"exponential\" or \"linear\"");
}

void refuse_other_options(const JsonObject& json) {
  const std::string expected = "FlowMatchEulerDiscreteScheduler";
  const std::string found = json.string("_class_name", expected);
  if (found != expected) {
    throw Error(ErrorCode::Unsupported, json.name() + ": \"_class_name\" is " + quote(found) +
                                            ", expected " + quote(expected));
  }
  for (const char* key : {"invert_sigmas", "use_karras_sigmas", "use_exponential_sigmas",
                          "use_beta_sigmas", "stochastic_sampling"}) {
    if (json.boolean(key, false)) {
      throw Error(ErrorCode::Unsupported,
                  json.name() + ": \"" + key + "\" is true, expected false");
    }
  }
  if (json.number("shift_terminal", 0.0) != 0.0) {
    throw Error(ErrorCode::Unsupported, json.name() + ": \"shift_terminal\" is set, expected none");
  }
}

// mu of the reference's calculate_shift: a straight line through the two given points.
double dynamic_shift(const SchedulerConfig& config, std::int64_t image_tokens) {
  const double slope = (config.max_shift - config.base_shift) /
                       static_cast<double>(config.max_image_tokens - config.base_image_tokens);
  const double intercept =
      config.base_shift - slope * static_cast<double>(config.base_image_tokens);
  return static_cast<double>(image_tokens) * slope + intercept;
}

// `factor` is the shift, exp(mu) or mu.
template <typename T>
T shift_level(TimeShift kind, double factor, T level) {
  const T f = static_cast<T>(factor);
  if (kind == TimeShift::Static && factor < kLeastReferenceShift) {
    // The same without 1 + (factor - 1), of which nothing is left where the factor is small.
    const double moved = factor * double{level};
    return static_cast<T>(moved / ((1.0 - double{level}) + moved));
  }
  if (kind == TimeShift::Static) return f * level / (T{1} + static_cast<T>(factor - 1.0) * level);
  return f / (f + (T{1} / level - T{1}));
}

template <typename T>
std::vector<float> shifted(const std::vector<T>& levels, const SchedulerConfig& config,
                           std::int64_t image_tokens) {
  double factor = config.shift;
  if (config.time_shift != TimeShift::Static) factor = dynamic_shift(config, image_tokens);
  if (config.time_shift == TimeShift::Exponential) factor = std::exp(factor);
  if (!(factor > 0.0 && std::isfinite(static_cast<float>(factor)))) {
    throw Error(ErrorCode::InvalidArgument, "the scheduler's shift is " + std::to_string(factor) +
                                                " for " + std::to_string(image_tokens) +
                                                " image tokens, expected more than 0");
  }
  std::vector<float> sigmas;
  sigmas.reserve(levels.size() + 1);
  for (const T level : levels) {
    sigmas.push_back(static_cast<float>(shift_level(config.time_shift, factor, level)));
  }
  sigmas.push_back(0.0F);
  for (std::size_t i = 1; i < sigmas.size(); ++i) {
    if (sigmas[i] < sigmas[i - 1]) continue;
    throw Error(ErrorCode::InvalidArgument, "the scheduler's shift is " + Json(factor).dump() +
                                                ", which makes noise levels " + std::to_string(i) +
                                                " and " + std::to_string(i + 1) + " of " +
                                                std::to_string(sigmas.size()) + " equal");
  }
  return sigmas;
}

void check_image_tokens(std::int64_t image_tokens) {
  if (image_tokens >= 1) return;
  throw Error(ErrorCode::InvalidArgument,
              "image tokens is " + std::to_string(image_tokens) + ", expected 1 or more");
}

void check_arguments(std::int64_t steps, std::int64_t image_tokens) {
  if (steps < 1 || steps > kMaxSteps) {
    throw Error(ErrorCode::InvalidArgument, "steps is " + std::to_string(steps) +
                                                ", expected 1 to " + std::to_string(kMaxSteps));
  }
  check_image_tokens(image_tokens);
}

// torch.linspace in float32, which works inwards from both ends with a fused multiply-add.
std::vector<float> linspace(float begin, float end, std::int64_t count) {
  std::vector<float> values = {begin};
  for (std::int64_t i = 1; i < count; ++i) {
    const float step = (end - begin) / static_cast<float>(count - 1);
    const bool from_begin = i < count / 2;
    const auto distance = static_cast<float>(from_begin ? i : count - 1 - i);
    values.push_back(from_begin ? std::fma(step, distance, begin) : std::fma(-step, distance, end));
  }
  return values;
}

}  // namespace

SchedulerConfig read_scheduler_config(const JsonObject& json) {
  refuse_other_options(json);
  SchedulerConfig config;
  config.train_timesteps = json.integer("num_train_timesteps", config.train_timesteps);
  if (config.train_timesteps < 1) {
    throw_range(json, "num_train_timesteps", std::to_string(config.train_timesteps), "1 or more");
  }
  config.time_shift = read_time_shift(json);
  config.shift = read_shift(json, "shift", config.shift);
  if (config.shift <= 0.0) {
    throw_range(json, "shift", std::to_string(config.shift), "more than 0");
  }
  config.base_shift = read_shift(json, "base_shift", config.base_shift);
  config.max_shift = read_shift(json, "max_shift", config.max_shift);
  config.base_image_tokens = json.integer("base_image_seq_len", config.base_image_tokens);
  config.max_image_tokens = json.integer("max_image_seq_len", config.max_image_tokens);
  if (config.base_image_tokens < 0) {
    throw_range(json, "base_image_seq_len", std::to_string(config.base_image_tokens), "0 or more");
  }
  if (config.max_image_tokens <= config.base_image_tokens) {
    throw_range(json, "max_image_seq_len", std::to_string(config.max_image_tokens),
                "more than \"base_image_seq_len\"");
  }
  return config;
}

std::vector<float> flow_match_sigmas(std::int64_t steps, const SchedulerConfig& config,
                                     std::int64_t image_tokens) {
  check_arguments(steps, image_tokens);
  const auto last = static_cast<float>(1.0 / static_cast<double>(steps));
  return shifted(linspace(1.0F, last, steps), config, image_tokens);
}

std::vector<float> flow_match_sigmas(std::span<const float> levels, const SchedulerConfig& config,
                                     std::int64_t image_tokens) {
  check_noise_levels(levels);
  check_image_tokens(image_tokens);
  return shifted(std::vector<float>(levels.begin(), levels.end()), config, image_tokens);
}

void check_noise_levels(std::span<const float> levels) {
  if (levels.empty()) throw Error(ErrorCode::InvalidArgument, "sigmas: expected one or more");
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const bool inside = levels[i] > 0.0F && levels[i] <= 1.0F;
    if (inside && (i == 0 || levels[i] < levels[i - 1])) continue;
    throw Error(ErrorCode::InvalidArgument,
                "sigmas: number " + std::to_string(i + 1) + " is " + std::to_string(levels[i]) +
                    ", expected " +
                    (inside ? "less than the one before" : "more than 0 and at most 1"));
  }
}

std::vector<float> flow_match_default_sigmas(std::int64_t steps, const SchedulerConfig& config,
                                             std::int64_t image_tokens) {
  check_arguments(steps, image_tokens);
  const auto train_steps = static_cast<double>(config.train_timesteps);
  const auto training_level = [&config](float level) {
    if (config.time_shift != TimeShift::Static) return level;
    return shift_level(TimeShift::Static, config.shift, level);
  };
  const double begin = double{training_level(1.0F)} * train_steps;
  const double end = double{training_level(1.0F / static_cast<float>(train_steps))} * train_steps;
  std::vector<double> levels = {begin / train_steps};
  for (std::int64_t i = 1; i < steps; ++i) {
    const double step = (end - begin) / static_cast<double>(steps - 1);
    const double timestep = i == steps - 1 ? end : begin + static_cast<double>(i) * step;
    levels.push_back(timestep / train_steps);
  }
  return shifted(levels, config, image_tokens);
}

}  // namespace zimage
