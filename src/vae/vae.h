// Latents to pixels: the decoder of the FLUX autoencoder. Follows diffusers AutoencoderKL and its
// Decoder.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/json.h"
#include "nn/layer_store.h"
#include "nn/run.h"

namespace zimage {

struct VaeConfig {
  std::vector<std::int64_t> channels;  // of each level, finest first
  std::int64_t layers_per_block = 0;
  std::int64_t latent_channels = 0;
  std::int64_t groups = 0;
  std::int64_t sample_size = 0;  // the side of the pictures it was made for, in pixels
  float scaling_factor = 0;
  float shift_factor = 0;
  bool mid_attention = true;

  // Pixels along one side of a latent pixel: a doubling between levels.
  std::int64_t scale() const { return std::int64_t{1} << (channels.size() - 1); }

  // Throws InvalidFile for a missing or senseless value, Unsupported for another autoencoder.
  static VaeConfig from_json(const JsonObject& json);
};

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
  struct Norm {
    Tensor weight;
    Tensor bias;
  };
  struct Conv {
    Weight weight;
    Tensor bias;
  };
  struct Resnet {
    Norm norm1;
    Conv conv1;
    Norm norm2;
    Conv conv2;
    std::optional<Conv> shortcut;  // 1x1, where the channels differ
  };
  struct Attention {
    Norm norm;
    Conv qkv;
    Conv out;
  };
  struct Level {
    std::vector<Resnet> resnets;
    std::optional<Conv> upsample;  // absent at the finest level
  };
  struct Weights {
    Conv conv_in;
    Resnet mid_first;
    std::optional<Attention> mid_attention;
    Resnet mid_second;
    std::vector<Level> levels;  // coarsest first
    Norm norm_out;
    Conv conv_out;
  };
  // The map that the next operation reads, and the memory that maps take in turns: one buffer that
  // holds it, two that are free.
  struct Maps {
    Tensor x;
    Tensor held;
    Tensor small;
    Tensor large;  // no smaller than `small`

    // Makes x a map of `shape` in the smallest free buffer that takes it; what held it is free, and
    // keeps its numbers until something is written there.
    Tensor move(const Shape& shape);
    // The free buffer in which `map` does not lie.
    const Tensor& free_of(const Tensor& map) const {
      return small.data == map.data ? large : small;
    }
  };

  static Norm load_norm(const WeightScope& w, std::int64_t channels);
  static Conv load_conv(const WeightScope& w, std::int64_t out, std::int64_t in, std::int64_t side);
  static Resnet load_resnet(const WeightScope& w, std::int64_t out, std::int64_t in);
  static Attention load_attention(const WeightScope& w, std::int64_t channels);
  static Weights load_weights(const WeightScope& w, const VaeConfig& c);

  Maps make_maps(Arena::Frame& frame, DType dtype, std::int64_t rows, std::int64_t columns) const;
  GroupNormArgs norm_args(Activation activation) const;
  // Each takes the map in maps.x and leaves its result there.
  void forward(const Run& run, const Resnet& resnet, Maps& maps) const;
  void forward(const Run& run, const Attention& attention, Maps& maps) const;
  void upsample(const Run& run, const Conv& conv, Maps& maps) const;

  VaeConfig config_;
  Module<Weights> weights_;
};

}  // namespace zimage
