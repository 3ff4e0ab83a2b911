// The decoder in tiles against the decoder in one piece, on latents of pictures that Z-Image-Tiny
// knows, at several sizes and tiles: how far the pixels are apart, and whether a seam is seen.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "golden/tiny_model.h"
#include "image/image.h"
#include "image/resize.h"
#include "pipeline/source_picture.h"
#include "pipeline/tiles.h"

namespace zimage {
namespace {

constexpr std::int64_t kScale = 8;

// Keeps the encoder's result, and pixels of one picture, -1 to 1, blended where they are of tiles.
class Blender final : public Recorder {
 public:
  Blender(const Run& run, Recorded& recorded, const LatentShape& latent, const Image& picture)
      : Recorder(run, {}, recorded), run_(run), latent_(latent), picture_(picture) {}
  std::span<const float> pixels(const PictureTile& tile) override {
    asked_ = encoder_pixels(picture_, tile.rows, tile.columns, kScale);
    return asked_;
  }
  void picture_encoded(std::span<const float> values) override {
    moments.assign(values.begin(), values.end());
  }
  void decoded(const Tensor& x, const PictureTile& tile) override {
    std::vector<float> part(static_cast<std::size_t>(x.elements()));
    run_.backend.download(part.data(), x);
    blended.resize(static_cast<std::size_t>(latent_.rows * latent_.columns * kScale * kScale * 3));
    blend_tile(blended, latent_.columns * kScale, part, tile, kScale);
  }

  std::vector<float> moments;
  std::vector<float> blended;

 private:
  const Run& run_;
  LatentShape latent_;
  const Image& picture_;
  std::vector<float> asked_;
};

// The autoencoder alone.
class Autoencoder {
 public:
  // Of a picture of the tests, scaled to the size: its latents, in tokens.
  std::vector<float> tokens_of(const std::string& name, const LatentShape& shape) {
    const Image small = decode_png(std::filesystem::path(kGolden + name)).image;
    const Extent size{shape.columns * kScale, shape.rows * kScale};
    const Image picture = resized(small, middle_of({small.width, small.height}, size), size);
    const Drawing drawing = drawing_of(shape, 0);
    std::vector<float> tokens;
    with_blender(shape, picture, [&](const Run& run, Blender& blender) {
      encode_picture(run, encoder_, drawing, blender);
      const std::vector<float> means(static_cast<std::size_t>(shape.elements()));
      tokens = sampled_tokens(blender.moments, means, shape, drawing.latent_scale);
    });
    return tokens;
  }

  // Pixels, -1 to 1, in tiles of `tile` latent pixels.
  std::vector<float> decode_in(std::span<const float> tokens, const LatentShape& shape,
                               std::int64_t tile) {
    std::vector<float> pixels;
    with_blender(shape, {}, [&](const Run& run, Blender& blender) {
      decode(run, decoder_, drawing_of(shape, tile), tokens, blender);
      pixels = std::move(blender.blended);
    });
    return pixels;
  }

 private:
  static constexpr std::size_t kActivations = std::size_t{512} << 20;

  template <typename Body>
  void with_blender(const LatentShape& shape, const Image& picture, const Body& body) {
    Buffer memory = backend_->allocate(kActivations);
    Arena arena(memory.data(), memory.bytes());
    const Run run{*backend_, arena};
    Recorded recorded;
    Blender blender(run, recorded, shape, picture);
    body(run, blender);
  }

  Drawing drawing_of(const LatentShape& shape, std::int64_t tile) const {
    return {.ids = {},
            .latent = shape,
            .sigmas = {1, 0},
            .latent_scale = {.scaling = model_.vae().scaling_factor,
                             .shift = model_.vae().shift_factor},
            .tile = tile};
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

// The mean step, in levels, from column x - 1 to column x of what tiles change.
double step_at(std::span<const float> found, std::span<const float> expected, std::int64_t width,
               std::int64_t x) {
  double sum = 0;
  std::size_t count = 0;
  const auto row = static_cast<std::size_t>(width * 3);
  for (std::size_t at = static_cast<std::size_t>(x * 3); at < found.size(); at += row) {
    for (std::size_t i = at; i < at + 3; ++i, ++count)
      sum += static_cast<double>(found[i] - expected[i]) -
             static_cast<double>(found[i - 3] - expected[i - 3]);
  }
  return std::abs(sum) / static_cast<double>(count) * 127.5;
}

// The greatest such step where a tile begins or ends.
double seam(std::span<const float> found, std::span<const float> expected, const LatentShape& shape,
            std::int64_t tile) {
  double greatest = 0;
  for (const TileSpan& span : cut_into_tiles(shape.columns, tile, kScale)) {
    for (const std::int64_t edge : {span.begin, span.end}) {
      if (edge == 0 || edge == shape.columns) continue;
      greatest =
          std::max(greatest, step_at(found, expected, shape.columns * kScale, edge * kScale));
    }
  }
  return greatest;
}

struct TiledCase {
  const char* picture;
  std::int64_t rows;  // of latent pixels
  std::int64_t columns;
  std::int64_t tile;
};

// Tiles that plans use, on pictures up to 1.5 times as long as they are wide. Right tiles give 44
// dB or more, and steps below 0.05 levels where they begin and end. Tiles of 32 give 38 dB in one
// of these cases; tiles that lie side by side without a blend give steps of several levels.
TEST(TiledDecode, IsCloseToTheWholeAndHasNoSeam) {
  Autoencoder autoencoder;
  for (const TiledCase& c :
       {TiledCase{"apple_0.png", 56, 64, 48}, TiledCase{"cat_zh_0.png", 64, 64, 48},
        TiledCase{"cfg_0.png", 72, 56, 48}, TiledCase{"nine_steps_0.png", 96, 64, 48},
        TiledCase{"batch2_1.png", 64, 96, 64}, TiledCase{"nine_steps_0.png", 80, 80, 64}}) {
    const LatentShape shape{.channels = 16, .rows = c.rows, .columns = c.columns, .patch = 2};
    const std::vector<float> tokens = autoencoder.tokens_of(c.picture, shape);
    const std::vector<float> whole = autoencoder.decode_in(tokens, shape, 0);
    const std::vector<float> tiled = autoencoder.decode_in(tokens, shape, c.tile);
    const std::string name = std::string(c.picture) + ", tile " + std::to_string(c.tile);
    EXPECT_GT(decibels(tiled, whole), 40) << name;
    EXPECT_LT(seam(tiled, whole, shape, c.tile), 0.5) << name;
  }
}

}  // namespace
}  // namespace zimage
