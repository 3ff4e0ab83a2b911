// config.json of an AutoencoderKL.
#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"

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
  bool quant_conv = false;  // a convolution behind the encoder, which VaeEncoder does not have

  // Pixels along one side of a latent pixel: a doubling between levels.
  std::int64_t scale() const { return std::int64_t{1} << (channels.size() - 1); }

  // Throws InvalidFile for a missing or senseless value, Unsupported for another autoencoder.
  static VaeConfig from_json(const JsonObject& json);
};

}  // namespace zimage
