// What stands around a drawing while it runs: loads and releases its networks, makes room for its
// activations, takes times, checks that results are finite, reports progress.
#pragma once

#include <chrono>
#include <future>
#include <optional>
#include <span>
#include <vector>

#include "pipeline/activations.h"
#include "pipeline/beginning.h"
#include "pipeline/feature_cache.h"
#include "pipeline/latent_rgb.h"
#include "pipeline/parts.h"
#include "pipeline/source_picture.h"

namespace zimage {

class RunObserver final : public DrawingObserver {
 public:
  // `noise`, of all pictures, is waited for when the denoising begins. All references must outlive
  // this.
  struct Context {
    Parts& parts;
    Activations& activations;
    const Plan& plan;
    const Run& run;
    const ProgressFn& progress;
    const Request& request;  // complete
    const Drawing& drawing;
    const SourcePicture& source;  // empty without an init image
    // Of each prompt of the drawing; those that are not known get their values.
    std::span<PromptFeatures* const> features;
    // Absent where no previews are asked for.
    const PreviewOptions* previews = nullptr;
    const LatentRgb* latent_rgb = nullptr;
  };
  RunObserver(const Context& context, std::future<NoiseDraws> noise)
      : context_(context), noise_(std::move(noise)) {}

  Timings timings;
  std::vector<Image> images;  // of the request's size, as far as they are decoded

  // The one that began last.
  Stage stage() const { return stage_; }

  // Throws Numerics when a stage's result has NaN or infinity, and when a picture is of one colour,
  // naming the stage where that was first seen.
  void begin(Stage stage) override;
  void encoded(std::int64_t prompt, const Tensor& features) override;
  std::span<const float> features(std::int64_t prompt) override;
  std::span<const float> varied(std::int64_t picture) override;
  std::span<const float> pixels(std::int64_t begin, std::int64_t end) override;
  std::span<const float> latents(std::int64_t first, std::int64_t count, float sigma) override;
  std::span<const float> mask() override;
  std::span<const float> noise(std::int64_t first, std::int64_t draw) override;
  void picture_encoded(std::span<const float> moments) override;
  void stepped(std::int64_t evaluation, const Tensor& velocity, const Tensor& latents) override;
  void denoised(std::span<const float> latents) override;
  void decoded(const Tensor& x, const PictureRows& rows) override;

 private:
  using Clock = std::chrono::steady_clock;

  void report(std::int64_t step) const;
  // Throws Numerics for a picture of one colour, if the request does not allow it.
  void expect_picture(const Image& image, std::int64_t picture) const;
  std::int64_t step_of(std::int64_t evaluation) const;
  // Shows what the pictures of a pass will be.
  void preview(std::int64_t evaluation, const Tensor& velocity, const Tensor& latents) const;
  // Waits for the noise.
  Beginning& beginning();

  Context context_;
  std::future<NoiseDraws> noise_;
  std::optional<Beginning> beginning_;
  std::vector<float> asked_;        // pixels, a mask or varied features, as last asked for
  std::int64_t encoded_ = 0;        // prompts
  std::vector<bool> flat_latents_;  // of each picture: whether they are all the same
  Image unfinished_;                // while it is decoded strip by strip
  Stage stage_ = Stage::EncodePrompt;
  Clock::time_point start_;
};

// A tensor of the activation type as f32 in host memory.
std::vector<float> to_host(Backend& backend, const Tensor& x);

}  // namespace zimage
