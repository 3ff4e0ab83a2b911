// What stands around a drawing while it runs: loads and releases its networks, takes times, checks
// that results are finite, reports progress.
#pragma once

#include <chrono>
#include <future>
#include <vector>

#include "pipeline/parts.h"

namespace zimage {

class RunObserver final : public DrawingObserver {
 public:
  // `noise` is waited for when the denoising begins, and becomes the drawing's. All references must
  // outlive this.
  struct Context {
    Parts& parts;
    Keep keep;  // All or None: whether networks stay after their stage
    const Run& run;
    const ProgressFn& progress;
    Drawing& drawing;
  };
  RunObserver(const Context& context, std::future<std::vector<float>> noise)
      : context_(context), noise_(std::move(noise)) {}

  Timings timings;
  std::vector<float> pixels;  // [H, W, 3], host memory

  // Throws Numerics when a stage's result has NaN or infinity, naming the stage.
  void begin(Stage stage) override;
  void encoded(const Tensor& features) override;
  void stepped(std::int64_t step, const Tensor& velocity, const Tensor& latents) override;
  void denoised(std::span<const float> latents) override;
  void decoded(const Tensor& x) override;

 private:
  using Clock = std::chrono::steady_clock;

  void report(std::int64_t step) const;

  Context context_;
  std::future<std::vector<float>> noise_;
  Stage stage_ = Stage::EncodePrompt;
  Clock::time_point start_;
};

}  // namespace zimage
