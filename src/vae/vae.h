// Latents to pixels, and pixels to latents: the decoder and the encoder of the FLUX autoencoder.
// Follows diffusers AutoencoderKL with its Decoder and Encoder.
#pragma once

#include <optional>
#include <vector>

#include "nn/layer_store.h"
#include "nn/run.h"
#include "vae/blocks.h"
#include "vae/config.h"

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

  // For latents of `pixels` pixels.
  vae::MapSizes map_sizes(std::int64_t pixels) const;

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

  // For a picture of `pixels` pixels.
  vae::MapSizes map_sizes(std::int64_t pixels) const;

  VaeConfig config_;
  Module<Weights> weights_;
};

}  // namespace zimage
