// Ranges, defaults and advice.
#include "pipeline/check_request.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "pipeline/request_limits.h"

namespace zimage {
namespace {

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
double check_number(const char* what, double value, std::int64_t highest) {
  if (value >= 0 && value <= static_cast<double>(highest)) return value;
  refuse(std::string(what) + " is " + std::to_string(value) + ", expected 0 to " +
         std::to_string(highest));
}

// Source: the defaults of diffusers ZImageImg2ImgPipeline and ZImageInpaintPipeline.
constexpr double kPictureStrength = 0.6;
constexpr double kMaskStrength = 1;

void check_pixels(const char* what, const Image& image) {
  if (image.empty() && image.width == 0 && image.height == 0) return;
  const bool possible =
      image.width >= 1 && image.height >= 1 && image.width <= kMaxPixels &&
      image.height <= kMaxPixels &&
      image.rgb.size() == static_cast<std::size_t>(image.width * image.height * 3);
  if (possible) return;
  refuse(std::string(what) + " is " + std::to_string(image.width) + "x" +
         std::to_string(image.height) + " pixels with " + std::to_string(image.rgb.size()) +
         " bytes, expected three for each pixel");
}

// Width and height where they are absent: of the init image.
void complete_size(Request& request) {
  const Image& image = request.init_image;
  if (image.empty()) return;
  const auto share = [](std::int64_t side, std::int64_t of, std::int64_t other) {
    const double pixels = static_cast<double>(other) * static_cast<double>(side);
    return std::max<std::int64_t>(std::llround(pixels / static_cast<double>(of)), 1);
  };
  if (!request.width && !request.height) {
    request.width = image.width;
    request.height = image.height;
  } else if (!request.width) {
    request.width = share(image.width, image.height, *request.height);
  } else if (!request.height) {
    request.height = share(image.height, image.width, *request.width);
  }
}

void complete_pictures(Request& request) {
  check_pixels("init_image", request.init_image);
  check_pixels("mask", request.mask);
  if (request.init_image.empty()) {
    if (!request.mask.empty())
      refuse("mask: there is no init image, a part of which it would keep");
    if (request.strength) refuse("strength: there is no init image of which to keep something");
    return;
  }
  const double strength =
      request.strength.value_or(request.mask.empty() ? kPictureStrength : kMaskStrength);
  request.strength = strength;
  if (!(strength > 0 && strength <= 1) || skipped_steps(request) >= *request.steps) {
    refuse("strength is " + std::to_string(strength) +
           ", expected more than 0 and at most 1, so that a step is left to draw");
  }
}

// Sigmas without the final 0, and as many steps.
void complete_schedule(Request& request, const ModelDefaults& defaults) {
  std::vector<double>& sigmas = request.sigmas;
  if (request.shift && !(*request.shift > 0 && *request.shift <= static_cast<double>(kMaxShift))) {
    refuse("shift is " + std::to_string(*request.shift) + ", expected more than 0 and at most " +
           std::to_string(kMaxShift));
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

std::int64_t skipped_steps(const Request& request) {
  const auto steps = static_cast<double>(*request.steps);
  const double drawn = std::min(steps * request.strength.value_or(1), steps);
  return static_cast<std::int64_t>(std::max(steps - drawn, 0.0));
}

Request complete_request(const Request& request, const ModelDefaults& defaults) {
  Request full = request;
  if (request.width) check_range("width", *request.width, kMaxPixels);
  if (request.height) check_range("height", *request.height, kMaxPixels);
  complete_size(full);
  full.width = check_range("width", full.width.value_or(defaults.side), kMaxPixels);
  full.height = check_range("height", full.height.value_or(defaults.side), kMaxPixels);
  complete_schedule(full, defaults);
  complete_pictures(full);
  full.guidance =
      check_number("guidance", request.guidance.value_or(defaults.guidance), kMaxGuidance);
  check_number("cfg_normalization", request.cfg_normalization, kMaxGuidance);
  check_number("cfg_truncation", request.cfg_truncation, 1);
  check_number("seed_variety", request.seed_variety, 1);
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
  if (!request.init_image.empty() && request.mask.empty() && *request.strength == 1)
    notes.emplace_back("strength 1 takes nothing of the init image but its size");
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
    notes.push_back(std::to_string(steps) + (steps == 1 ? " step" : " steps") +
                    ": the model was distilled to 8, and counts far from that usually look "
                    "worse");
  }
  return notes;
}

}  // namespace zimage
