// Between the stages.
#include "pipeline/run_observer.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace zimage {
namespace {

void expect_finite(std::span<const float> values, Stage stage) {
  if (std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
    return;
  throw Error(ErrorCode::Numerics,
              std::string(name_of(stage)) +
                  ": NaN or infinity in its result; the picture is not written. The weights are "
                  "damaged, or hold NaN or infinity");
}

// A tensor of the activation type as f32 in host memory.
std::vector<float> to_host(const Run& run, const Tensor& x) {
  Arena::Frame frame(run.arena);
  std::vector<float> values(static_cast<std::size_t>(x.elements()));
  Tensor widened = x;
  if (x.dtype != DType::F32) {
    widened = frame.make(DType::F32, x.shape);
    run.backend.cast(widened, x);
  }
  run.backend.download(values.data(), widened);
  return values;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void RunObserver::begin(Stage stage) {
  stage_ = stage;
  report(0);
  const Clock::time_point start = Clock::now();
  if (context_.keep == Keep::None) {
    for (const Stage other : {Stage::EncodePrompt, Stage::Denoise, Stage::Decode}) {
      if (other != stage) context_.parts.release(other);
    }
  }
  context_.parts.load(stage);
  timings.load += seconds_since(start);
  start_ = Clock::now();
  if (stage == Stage::Denoise) context_.drawing.noise = noise_.get();
}

void RunObserver::encoded(const Tensor& features) {
  expect_finite(to_host(context_.run, features), stage_);
  timings.encode_prompt = seconds_since(start_);
  report(1);
}

void RunObserver::stepped(std::int64_t step, const Tensor& /*velocity*/,
                          const Tensor& /*latents*/) {
  // Waiting keeps progress and cancellation in step with the device; without either nothing waits.
  const Run& run = context_.run;
  if (context_.progress || run.stop.stop_possible()) run.backend.synchronize();
  report(step);
}

void RunObserver::denoised(std::span<const float> latents) {
  timings.denoise = seconds_since(start_);
  expect_finite(latents, stage_);
}

void RunObserver::decoded(const Tensor& x) {
  pixels = to_host(context_.run, x);
  timings.decode = seconds_since(start_);
  expect_finite(pixels, stage_);
  report(1);
}

void RunObserver::report(std::int64_t step) const {
  if (!context_.progress) return;
  context_.progress({.stage = stage_,
                     .step = step,
                     .steps = stage_ == Stage::Denoise ? context_.drawing.steps() : 1});
}

}  // namespace zimage
