// Latents to pixels, and pixels to latents: the decoder and the encoder of the FLUX autoencoder.
// Follows diffusers AutoencoderKL with its Decoder and Encoder.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "nn/layer_store.h"
#include "nn/run.h"
#include "vae/blocks.h"
#include "vae/config.h"
#include "vae/strips.h"

namespace zimage {

class VaeDecoder {
 public:
  // Loads the decoder's weights and ignores the encoder's. `backend` must outlive this.
  VaeDecoder(TensorSource& source, const VaeConfig& config, Backend& backend);

  const VaeConfig& config() const { return config_; }

  // out [scale h, scale w, 3] in the backend's activation type, about -1 to 1;
  // latents [h, w, latent_channels] f32, already divided by scaling_factor and shifted. Throws
  // Cancelled.
  void decode(const Run& run, const Tensor& out, const Tensor& latents) const;

  // The same strip by strip, for a picture that does not fit in one piece: `decoded` gets the
  // pixels [rows, scale w, 3] of each, from the top, and the first of their rows; they live until
  // it returns. Throws Cancelled, and what `decoded` throws.
  using DecodedRows = std::function<void(const Tensor& pixels, std::int64_t first)>;
  void decode_in_strips(const Run& run, const Tensor& latents, const VaeStrips& strips,
                        const DecodedRows& decoded) const;
  // The most maps that strips can keep; less than none where they save nothing.
  std::int64_t most_kept() const { return static_cast<std::int64_t>(config_.channels.size()) - 2; }

 private:
  struct Level {
    std::vector<vae::Resnet> resnets;
    std::optional<vae::Conv> upsample;  // absent at the finest level
  };
  struct Weights {
    vae::Conv conv_in;
    vae::Middle middle;
    std::vector<Level> levels;  // coarsest first
    vae::Norm norm_out;
    vae::Conv conv_out;
  };

  static Weights load_weights(const WeightScope& w, const VaeConfig& c);

  // Levels [first, end), none of them the coarsest, with the upsampling before each.
  struct Levels {
    std::size_t first = 1;
    std::size_t end = 1;
  };
  static Levels levels_of(const vae::Section& section) {
    return {.first = 1 + section.first, .end = 1 + section.end};
  }
  Levels fine_levels() const { return {.first = 1, .end = weights_.weights.levels.size()}; }
  bool is_last(const Levels& levels) const { return levels.end == weights_.weights.levels.size(); }
  std::int64_t channels_of(std::size_t level) const {
    return config_.channels[config_.channels.size() - 1 - level];
  }
  std::int64_t norms_of(const Levels& levels) const;
  std::int64_t halo_of(const Levels& levels) const;  // rows of the map before, on either side

  // For maps of `pixels` pixels at the latents' resolution, and before some levels.
  vae::MapSizes coarse_sizes(std::int64_t pixels) const;
  vae::MapSizes level_sizes(const Levels& levels, std::int64_t pixels) const;
  // All that is computed at the latents' resolution, with the attention: leaves the map in maps.x.
  void run_coarse(const Run& run, vae::Maps& maps, const Tensor& latents) const;
  // From the map in maps.x; the last ones leave pixels in `out`, others a map in maps.x. False
  // where the norms ended the pass.
  bool run_levels(const Run& run, const Levels& levels, vae::Norms& norms, vae::Maps& maps,
                  const Tensor& out) const;
  // The map behind some sections from the first on, of latents in the activation type.
  void make_map(const Run& run, const Tensor& out, const Tensor& latents,
                std::span<const vae::Section> sections) const;
  // `made` gets what each strip becomes, and the first of its rows.
  void run_section(const Run& run, const Tensor& map, const vae::Section& section,
                   const DecodedRows& made) const;

  VaeConfig config_;
  Module<Weights> weights_;
};

class VaeEncoder {
 public:
  // Loads the encoder's weights and ignores the decoder's. `backend` must outlive this. Throws
  // Unsupported for an encoder with a convolution behind it (config.quant_conv), InvalidFile where
  // there is no encoder.
  VaeEncoder(TensorSource& source, const VaeConfig& config, Backend& backend);

  const VaeConfig& config() const { return config_; }

  // out [h, w, 2 latent_channels] f32: the means of the latents, then the logarithms of their
  // variances, as the network gives them; pixels [scale h, scale w, 3] f32, -1 to 1. Throws
  // Cancelled.
  void encode(const Run& run, const Tensor& out, const Tensor& pixels) const;

  // The same strip by strip, for a picture that does not fit in one piece: `pixels` gives its rows
  // [begin, end), [end - begin, scale w, 3] f32 in host memory, which it is asked for again and
  // again and that live until it is asked the next time. Throws Cancelled.
  using PixelRows = std::function<std::span<const float>(std::int64_t begin, std::int64_t end)>;
  void encode_in_strips(const Run& run, const Tensor& out, const PixelRows& pixels,
                        const VaeStrips& strips) const;
  // The most rows of pixels that it asks for at once, of a picture of so many rows of latents.
  std::int64_t rows_at_once(const VaeStrips& strips, std::int64_t latent_rows) const;
  // The most maps that strips can keep; less than none where they save nothing.
  std::int64_t most_kept() const { return static_cast<std::int64_t>(config_.channels.size()) - 2; }

 private:
  struct Level {
    std::vector<vae::Resnet> resnets;
    std::optional<vae::Conv> downsample;  // absent at the coarsest level
  };
  struct Weights {
    vae::Conv conv_in;
    std::vector<Level> levels;  // finest first
    vae::Middle middle;
    vae::Norm norm_out;
    vae::Conv conv_out;
  };

  static Weights load_weights(const WeightScope& w, const VaeConfig& c);

  // Levels [first, end), none of them the coarsest, with the downsampling behind each.
  struct Levels {
    std::size_t first = 0;
    std::size_t end = 0;
  };
  Levels fine_levels() const { return {.first = 0, .end = weights_.weights.levels.size() - 1}; }
  Levels levels_of(const vae::Section& section) const {
    return {.first = fine_levels().end - section.end, .end = fine_levels().end - section.first};
  }
  std::int64_t norms_of(const Levels& levels) const;
  std::int64_t halo_of(const Levels& levels) const;  // rows of the map behind, on either side
  vae::Windows windows_of(const vae::Section& section, std::int64_t rows_behind) const;

  // For maps of `pixels` pixels before some levels, and at the latents' resolution.
  vae::MapSizes level_sizes(const Levels& levels, std::int64_t pixels) const;
  vae::MapSizes coarse_sizes(std::int64_t pixels) const;
  // The first convolution: pixels f32 to maps.x.
  void read_pixels(const Run& run, vae::Maps& maps, const Tensor& pixels) const;
  // From the map in maps.x to one in maps.x. False where the norms ended the pass.
  bool run_levels(const Run& run, const Levels& levels, vae::Norms& norms, vae::Maps& maps) const;
  // All that is computed at the latents' resolution, with the attention: from the map in maps.x.
  void run_coarse(const Run& run, vae::Maps& maps, const Tensor& out) const;
  // The map behind some sections, of which the last begins with pixels.
  void make_map(const Run& run, const Tensor& out, std::span<const vae::Section> sections,
                const PixelRows& pixels) const;
  // The same of one; `before` is absent where it begins with pixels.
  void run_section(const Run& run, const Tensor& out, const Tensor& before,
                   const vae::Section& section, const PixelRows& pixels) const;

  VaeConfig config_;
  Module<Weights> weights_;
};

}  // namespace zimage
