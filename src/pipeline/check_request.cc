// Ranges, defaults and advice.
#include "pipeline/check_request.h"

#include <algorithm>

#include "base/error.h"

namespace zimage {
namespace {

// Beyond any model's positions; keeps arithmetic on sizes far from overflow.
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 20;
constexpr std::int64_t kMaxSteps = 1000;
constexpr double kMaxShift = 1000;
constexpr double kMaxGuidance = 100;
// Source: Tongyi-MAI/Z-Image README and scheduler_config.json.
constexpr double kUndistilledShift = 6;
constexpr std::int64_t kUndistilledSteps = 50;
constexpr double kUndistilledGuidance = 4;

// Half and twice what the model was distilled to.
constexpr std::int64_t kFewSteps = 4;
constexpr std::int64_t kManySteps = 16;
// What older guides ask for where 8 forwards are meant. Source: Tongyi-MAI/Z-Image README;
// diffusers #13730.
constexpr std::int64_t kFormerSteps = 9;

std::int64_t check_range(const char* what, std::int64_t value, std::int64_t highest) {
  if (value >= 1 && value <= highest) return value;
  throw Error(ErrorCode::InvalidArgument, std::string(what) + " is " + std::to_string(value) +
                                              ", expected 1 to " + std::to_string(highest));
}

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::InvalidArgument, message);
}

// Gives `value` back; NaN lies in no range.
double check_range(const char* what, double value, double highest) {
  if (value >= 0 && value <= highest) return value;
  refuse(std::string(what) + " is " + std::to_string(value) + ", expected 0 to " +
         std::to_string(static_cast<std::int64_t>(highest)));
}

// Sigmas without the final 0, and as many steps.
void complete_schedule(Request& request, const ModelDefaults& defaults) {
  std::vector<double>& sigmas = request.sigmas;
  if (request.shift && !(*request.shift > 0 && *request.shift <= kMaxShift)) {
    refuse("shift is " + std::to_string(*request.shift) + ", expected more than 0 and at most " +
           std::to_string(static_cast<std::int64_t>(kMaxShift)));
  }
  if (!sigmas.empty()) {
    if (sigmas.size() > 1 && sigmas.back() == 0) sigmas.pop_back();
    check_noise_levels(noise_levels(request));
    const auto count = static_cast<std::int64_t>(sigmas.size());
    if (request.steps.value_or(count) != count) {
      refuse("steps is " + std::to_string(*request.steps) + ", but there are " +
             std::to_string(count) + " sigmas: leave it out");
    }
    request.steps = count;
  }
  request.steps = check_range("steps", request.steps.value_or(defaults.steps), kMaxSteps);
}

}  // namespace

std::vector<float> noise_levels(const Request& request) {
  std::vector<float> levels(request.sigmas.size());
  std::transform(request.sigmas.begin(), request.sigmas.end(), levels.begin(),
                 [](double sigma) { return static_cast<float>(sigma); });
  return levels;
}

Request complete_request(const Request& request, const ModelDefaults& defaults) {
  Request full = request;
  full.width = check_range("width", request.width.value_or(defaults.side), kMaxPixels);
  full.height = check_range("height", request.height.value_or(defaults.side), kMaxPixels);
  complete_schedule(full, defaults);
  full.guidance =
      check_range("guidance", request.guidance.value_or(defaults.guidance), kMaxGuidance);
  check_range("cfg_normalization", request.cfg_normalization, kMaxGuidance);
  check_range("cfg_truncation", request.cfg_truncation, 1.0);
  full.count = check_range("count", request.count, kMaxCount);
  return full;
}

ModelDefaults model_defaults(const SchedulerConfig& scheduler, std::int64_t side) {
  if (scheduler.time_shift != TimeShift::Static || scheduler.shift < kUndistilledShift)
    return {.side = side};
  return {.side = side,
          .steps = kUndistilledSteps,
          .guidance = kUndistilledGuidance,
          .is_distilled = false};
}

std::vector<std::string> request_notes(const Request& request, const ModelDefaults& defaults) {
  std::vector<std::string> notes;
  const std::int64_t steps = *request.steps;
  if (!request.negative_prompt.empty() && *request.guidance == 0)
    notes.emplace_back("the negative prompt has no effect without guidance");
  if (!defaults.is_distilled) return notes;
  if (*request.guidance > 0) {
    notes.emplace_back(
        "guidance: the model was distilled to draw without, with which a step takes twice the time "
        "and a picture usually looks worse");
  }
  if (steps == kFormerSteps) {
    notes.emplace_back(
        "9 steps: nine different noise levels, as in diffusers since 2026; the 9 of older guides "
        "was 8 forwards and one more that changed nothing, which is --steps 8");
  } else if (steps < kFewSteps || steps > kManySteps) {
    notes.push_back(std::to_string(steps) +
                    " steps: the model was distilled to 8, and counts far from that usually look "
                    "worse");
  }
  return notes;
}

}  // namespace zimage
