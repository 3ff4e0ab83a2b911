// Latents between torch's layout, the transformer's tokens and the decoder's map.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "base/torch_rng.h"
#include "pipeline/pipeline.h"

namespace zimage {

// The extents of one picture's latent.
struct LatentShape {
  std::int64_t channels = 0;
  std::int64_t rows = 0;     // height / 8
  std::int64_t columns = 0;  // width / 8
  std::int64_t patch = 0;    // side of a patch; divides rows and columns

  std::int64_t elements() const { return channels * rows * columns; }
  std::int64_t token_features() const { return patch * patch * channels; }
};

// What torch.randn([count, channels, rows, columns]) gives with a seeded generator, as tokens
// [count * tokens, (patch row, patch column, channel)]. Source: diffusers
// ZImagePipeline.prepare_latents, ZImageTransformer2DModel.patchify_and_embed.
std::vector<float> noise_tokens(const LatentShape& shape, std::int64_t count, std::uint64_t seed,
                                RngKind rng);

// What a latent is divided and shifted by on its way to the decoder.
struct LatentScale {
  float scaling = 1;
  float shift = 0;
};

// The successive draws of such a generator, each for all pictures: the first are the latents at the
// first noise level, the others what a sampler adds in its steps. With Sample::First a draw for one
// picture comes before them, with which the encoder's result is sampled.
class NoiseDraws {
 public:
  enum class Sample : std::uint8_t { None, First };

  // Makes the first draw.
  NoiseDraws(const LatentShape& shape, std::int64_t count, std::uint64_t seed, RngKind rng,
             Sample sample = Sample::None);

  const LatentShape& shape() const { return shape_; }
  // That one picture's draw as tokens; empty without.
  std::span<const float> sample() const { return sample_; }

  // Draw number `index` as tokens, valid until the next call. Draws are made in order: an earlier
  // one than the last begins anew from the seed.
  std::span<const float> get(std::int64_t index);

 private:
  void restart();
  void draw();
  std::vector<float> draw_planes(std::int64_t count);

  LatentShape shape_;
  std::int64_t count_;
  std::uint64_t seed_;
  RngKind rng_;
  Sample with_sample_;
  std::variant<TorchCpuGenerator, TorchCudaGenerator> generator_;
  std::int64_t drawn_ = 0;
  std::vector<float> tokens_;  // of draw number drawn_ - 1
  std::vector<float> sample_;
};

// [channels, rows, columns] to tokens.
std::vector<float> tokens_from_planes(std::span<const float> planes, const LatentShape& shape);

// Tokens to the decoder's map [rows, columns, channels], each value z / scaling + shift.
// Source: diffusers ZImagePipeline.__call__.
std::vector<float> map_from_tokens(std::span<const float> tokens, const LatentShape& shape,
                                   const LatentScale& scale);

// The encoder's map [rows, columns, 2 channels], means and logarithms of variances, to tokens: z =
// mean + deviation * noise, each (z - shift) * scaling. `noise` are tokens N(0, 1). Logarithms are
// held between -30 and 20. Source: diffusers DiagonalGaussianDistribution,
// ZImageImg2ImgPipeline.prepare_latents.
std::vector<float> sampled_tokens(std::span<const float> moments, std::span<const float> noise,
                                  const LatentShape& shape, const LatentScale& scale);

}  // namespace zimage
