// Z-Image-Tiny on the CPU backend for tests that hold whole runs against the recorded reference:
// what enters are prompts and noise, what leaves is every stage's result in the reference's layout.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "image/pixels.h"
#include "pipeline/drawing.h"
#include "pipeline/make_backend.h"

namespace zimage {

inline const std::string kGolden = ZIMAGE_SOURCE_DIR "/tests/golden/";
inline const std::string kModel = ZIMAGE_SOURCE_DIR "/models/zimage-tiny";
inline constexpr LatentShape kLatent{.channels = 16, .rows = 32, .columns = 32, .patch = 2};
inline constexpr std::uint64_t kSeed = 42;

inline double nmse(std::span<const float> found, std::span<const float> expected) {
  EXPECT_EQ(found.size(), expected.size());
  double error = 0;
  double power = 0;
  for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    error += std::pow(static_cast<double>(found[i]) - static_cast<double>(expected[i]), 2);
    power += std::pow(static_cast<double>(expected[i]), 2);
  }
  return error / power;
}

// What a run gave, in the reference's layout and sign.
struct Recorded {
  std::vector<std::vector<float>> features;    // of each prompt
  std::vector<std::vector<float>> velocities;  // tokens of a pass
  std::vector<std::vector<float>> latents;     // tokens of a pass, after each step
  std::vector<std::vector<float>> pixels;      // of each picture
  std::size_t activations = 0;
};

class Recorder : public DrawingObserver {
 public:
  Recorder(const Run& run, std::span<const float> noise, Recorded& recorded)
      : run_(run), noise_(noise), recorded_(recorded) {}
  void begin(Stage /*stage*/) override {}
  std::span<const float> pixels(std::int64_t /*begin*/, std::int64_t /*end*/) override {
    return {};
  }
  std::span<const float> latents(std::int64_t first, std::int64_t count, float /*sigma*/) override {
    return noise_.subspan(static_cast<std::size_t>(first * kLatent.elements()),
                          static_cast<std::size_t>(count * kLatent.elements()));
  }
  std::span<const float> mask() override { return {}; }
  std::span<const float> noise(std::int64_t /*first*/, std::int64_t /*draw*/) override {
    return {};
  }
  void picture_encoded(std::span<const float> /*moments*/) override {}
  std::span<const float> features(std::int64_t /*prompt*/) override { return {}; }
  std::span<const float> varied(std::int64_t /*picture*/) override { return {}; }
  void encoded(std::int64_t /*prompt*/, const Tensor& features) override {
    recorded_.features.push_back(host(features));
  }
  void stepped(std::int64_t /*evaluation*/, const Tensor& velocity,
               const Tensor& latents) override {
    recorded_.velocities.push_back(host(velocity));
    for (float& value : recorded_.velocities.back()) value = -value;
    recorded_.latents.push_back(host(latents));
  }
  void denoised(std::span<const float> /*latents*/) override {}
  void decoded(const Tensor& pixels, const PictureRows& /*rows*/) override {
    recorded_.pixels.push_back(host(pixels));
  }

 private:
  std::vector<float> host(const Tensor& x) const {
    std::vector<float> values(static_cast<std::size_t>(x.elements()));
    run_.backend.download(values.data(), x);
    return values;
  }
  const Run& run_;
  std::span<const float> noise_;
  Recorded& recorded_;
};

// The networks, loaded once for all cases.
class TinyModel {
 public:
  static TinyModel& get() {
    static TinyModel model;
    return model;
  }

  // As many pictures as there is noise for.
  Recorded draw(const std::string& prompt, std::int64_t steps, std::span<const float> noise,
                std::int64_t pictures_per_pass, const std::string& negative = "",
                const Guidance& guidance = {}) {
    Drawing drawing{
        .ids = model_.tokenize(prompt).ids,
        .negative_ids = model_.tokenize(negative).ids,
        .latent = kLatent,
        .guidance = guidance,
        .sampler = Sampler::Euler,
        .sigmas = flow_match_sigmas(steps, model_.scheduler(), 256),
        .latent_scale = {.scaling = model_.vae().scaling_factor,
                         .shift = model_.vae().shift_factor},
        .count = static_cast<std::int64_t>(noise.size()) / kLatent.elements(),
        .pictures_per_pass = pictures_per_pass,
    };
    return record(drawing, [&](const Run& run, Recorded& recorded) {
      return std::make_unique<Recorder>(run, noise, recorded);
    });
  }

  // Draws with the recorder that `make(run, recorded)` gives.
  template <typename Make>
  Recorded record(const Drawing& drawing, const Make& make) {
    Buffer memory = backend_->allocate(kActivations);
    Arena arena(memory.data(), memory.bytes());
    const Run run{*backend_, arena};
    Recorded recorded;
    const auto recorder = make(run, recorded);
    zimage::draw(run, networks_, drawing, *recorder);
    recorded.activations = arena.peak();
    return recorded;
  }

  const Model& model() const { return model_; }

  std::vector<std::int32_t> ids(const std::string& prompt) const {
    return model_.tokenize(prompt).ids;
  }

 private:
  static constexpr std::size_t kActivations = std::size_t{128} << 20;

  TinyModel() {
    networks_.text_encoder =
        std::make_unique<Qwen3Encoder>(text_->tensors(), model_.text_encoder(), *backend_);
    networks_.transformer = std::make_unique<ZImageTransformer>(transformer_->tensors(),
                                                                model_.transformer(), *backend_);
    networks_.vae = std::make_unique<VaeDecoder>(vae_->tensors(), model_.vae(), *backend_);
    networks_.vae_encoder =
        std::make_unique<VaeEncoder>(vae_encoder_->tensors(), model_.vae(), *backend_);
  }

  Model model_{PipelineOptions{.model = kModel}};
  std::unique_ptr<Backend> backend_ = make_backend({.device = "cpu"});
  std::unique_ptr<PartWeights> text_ = model_.open("text_encoder");
  std::unique_ptr<PartWeights> transformer_ = model_.open("transformer");
  std::unique_ptr<PartWeights> vae_ = model_.open("vae");
  std::unique_ptr<PartWeights> vae_encoder_ = model_.open("vae");
  Networks networks_;
};

// Of a picture's pixels [H, W, 3], against a recorded one: the largest difference of two 8-bit
// numbers, and 10 log10(255^2 / mse).
struct Distance {
  int largest = 0;
  double decibels = 0;
};
inline Distance distance(std::span<const std::uint8_t> drawn, const Image& expected) {
  EXPECT_EQ(drawn.size(), expected.rgb.size());
  double error = 0;
  int largest = 0;
  for (std::size_t i = 0; i < std::min(drawn.size(), expected.rgb.size()); ++i) {
    const int difference = std::abs(int{drawn[i]} - int{expected.rgb[i]});
    error += difference * difference;
    largest = std::max(largest, difference);
  }
  error /= static_cast<double>(drawn.size());
  return {.largest = largest, .decibels = 10.0 * std::log10(255.0 * 255.0 / error)};
}
inline Distance distance(std::span<const std::uint8_t> drawn, const std::string& png) {
  return distance(drawn, decode_png(kGolden + png).image);
}
inline Distance distance(std::vector<float> pixels, const std::string& png) {
  std::vector<std::uint8_t> drawn(pixels.size());
  EXPECT_TRUE(to_bytes(drawn, {pixels.data(), DType::F32, {256, 256, 3}}));
  return distance(std::span<const std::uint8_t>(drawn), png);
}

}  // namespace zimage
