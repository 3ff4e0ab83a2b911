// The decoder in strips against the decoder in one piece, on latents of pictures that Z-Image-Tiny
// knows and on noise, at several sizes: how far the pixels are apart.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "golden/tiny_model.h"
#include "image/image.h"
#include "image/resize.h"
#include "pipeline/source_picture.h"

namespace zimage {
namespace {

constexpr std::int64_t kScale = 8;

// Keeps the encoder's result, and pixels of one picture, -1 to 1.
class Keeper final : public Recorder {
 public:
  Keeper(const Run& run, Recorded& recorded, const LatentShape& latent, const Image& picture)
      : Recorder(run, {}, recorded), run_(run), latent_(latent), picture_(picture) {}
  std::span<const float> pixels(std::int64_t begin, std::int64_t end) override {
    asked_ = encoder_pixels(picture_, begin, end);
    return asked_;
  }
  void picture_encoded(std::span<const float> values) override {
    moments.assign(values.begin(), values.end());
  }
  void decoded(const Tensor& x, const PictureRows& rows) override {
    const std::int64_t row = latent_.columns * kScale * 3;
    EXPECT_EQ(static_cast<std::int64_t>(decoded_.size()), rows.first * row);
    decoded_.resize(decoded_.size() + static_cast<std::size_t>(x.elements()));
    run_.backend.download(decoded_.data() + rows.first * row, x);
  }

  std::vector<float> moments;
  std::vector<float> pixels_of_all() { return std::move(decoded_); }

 private:
  const Run& run_;
  LatentShape latent_;
  const Image& picture_;
  std::vector<float> asked_;
  std::vector<float> decoded_;
};

// The autoencoder alone.
class Autoencoder {
 public:
  // Of a picture of the tests, scaled to the size: what the encoder makes of it.
  std::vector<float> moments_of(const std::string& name, const LatentShape& shape,
                                const VaeStrips& strips) {
    const Image small = decode_png(std::filesystem::path(kGolden + name)).image;
    const Extent size{shape.columns * kScale, shape.rows * kScale};
    const Image picture = resized(small, middle_of({small.width, small.height}, size), size);
    Drawing drawing = drawing_of(shape);
    drawing.encoder_strips = strips;
    std::vector<float> moments;
    with_keeper(shape, picture, [&](const Run& run, Keeper& keeper) {
      encode_picture(run, encoder_, drawing, keeper);
      moments = std::move(keeper.moments);
    });
    return moments;
  }

  // Its latents, in tokens.
  std::vector<float> tokens_of(const std::string& name, const LatentShape& shape) {
    const std::vector<float> means(static_cast<std::size_t>(shape.elements()));
    return sampled_tokens(moments_of(name, shape, {}), means, shape,
                          drawing_of(shape).latent_scale);
  }

  // Pixels, -1 to 1.
  std::vector<float> decode_in(std::span<const float> tokens, const LatentShape& shape,
                               const VaeStrips& strips) {
    Drawing drawing = drawing_of(shape);
    drawing.strips = strips;
    std::vector<float> pixels;
    with_keeper(shape, {}, [&](const Run& run, Keeper& keeper) {
      decode(run, decoder_, drawing, tokens, keeper);
      pixels = keeper.pixels_of_all();
    });
    return pixels;
  }

 private:
  static constexpr std::size_t kActivations = std::size_t{512} << 20;

  template <typename Body>
  void with_keeper(const LatentShape& shape, const Image& picture, const Body& body) {
    Buffer memory = backend_->allocate(kActivations);
    Arena arena(memory.data(), memory.bytes());
    const Run run{*backend_, arena};
    Recorded recorded;
    Keeper keeper(run, recorded, shape, picture);
    body(run, keeper);
  }

  Drawing drawing_of(const LatentShape& shape) const {
    return {.ids = {},
            .latent = shape,
            .sigmas = {1, 0},
            .latent_scale = {.scaling = model_.vae().scaling_factor,
                             .shift = model_.vae().shift_factor}};
  }

  Model model_{{.model = kModel}};
  std::unique_ptr<Backend> backend_ = make_backend({.device = "cpu", .precision = "auto"});
  std::unique_ptr<PartWeights> decoder_weights_ = model_.open("vae");
  VaeDecoder decoder_{decoder_weights_->tensors(), model_.vae(), *backend_};
  std::unique_ptr<PartWeights> encoder_weights_ = model_.open("vae");
  VaeEncoder encoder_{encoder_weights_->tensors(), model_.vae(), *backend_};
};

// Of levels of 8 bits, which -1 to 1 becomes.
double decibels(std::span<const float> found, std::span<const float> expected) {
  double squares = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto level = [](float value) {
      return std::round(std::clamp(static_cast<double>(value) * 127.5 + 127.5, 0.0, 255.0));
    };
    squares += std::pow(level(found[i]) - level(expected[i]), 2);
  }
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(found.size()) / squares);
}

double largest_difference(std::span<const float> found, std::span<const float> expected) {
  double largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(found[i] - expected[i])));
  return largest;
}

struct StripsCase {
  const char* picture;
  std::int64_t rows;
  std::int64_t columns;
  VaeStrips strips;
};
constexpr StripsCase kCases[] = {{"apple_0.png", 56, 64, {.rows = 28, .kept = 2}},
                                 {"cat_zh_0.png", 64, 64, {.rows = 5, .kept = 2}},
                                 {"nine_steps_0.png", 96, 64, {.rows = 16, .kept = 1}},
                                 {"apple_0.png", 48, 144, {.rows = 1, .kept = 2}},
                                 {"cat_zh_0.png", 144, 32, {.rows = 7, .kept = 0}},
                                 {"cfg_0.png", 6, 40, {.rows = 3, .kept = 0}}};

// Right strips differ by rounding alone: 3e-6 at most, 90 dB where some of that changes a level.
// Strips that are normed by their own statistics give 35 to 43 dB, and differences of 0.07 or more.
TEST(Strips, GiveThePictureDecodedInOnePiece) {
  Autoencoder autoencoder;
  for (const StripsCase& c : kCases) {
    const LatentShape shape{.channels = 16, .rows = c.rows, .columns = c.columns, .patch = 2};
    const std::vector<float> tokens = autoencoder.tokens_of(c.picture, shape);
    const std::vector<float> whole = autoencoder.decode_in(tokens, shape, {});
    const std::vector<float> strips = autoencoder.decode_in(tokens, shape, c.strips);
    ASSERT_EQ(strips.size(), whole.size());
    const std::string name = std::string(c.picture) + ", " + std::to_string(c.strips.rows);
    RecordProperty(name, std::to_string(decibels(strips, whole)) + " dB");
    EXPECT_LT(largest_difference(strips, whole), 1e-4) << name;
    EXPECT_GT(decibels(strips, whole), 80) << name;
  }
}

// Of moments up to 15. Right strips: 3e-5 at most; by their own statistics 0.28 and more.
TEST(Strips, GiveTheLatentsEncodedInOnePiece) {
  Autoencoder autoencoder;
  for (const StripsCase& c : kCases) {
    const LatentShape shape{.channels = 16, .rows = c.rows, .columns = c.columns, .patch = 2};
    const std::vector<float> whole = autoencoder.moments_of(c.picture, shape, {});
    const std::vector<float> strips = autoencoder.moments_of(c.picture, shape, c.strips);
    ASSERT_EQ(strips.size(), whole.size());
    EXPECT_LT(largest_difference(strips, whole), 1e-3) << c.picture << ", " << c.strips.rows;
  }
}

}  // namespace
}  // namespace zimage
