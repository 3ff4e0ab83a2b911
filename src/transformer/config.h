// The sizes of a Z-Image transformer, from its config.json.
#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"

namespace zimage {

struct TransformerConfig {
  std::int64_t dim = 0;
  std::int64_t heads = 0;
  std::int64_t layers = 0;
  std::int64_t refiner_layers = 0;
  std::int64_t caption_dim = 0;
  std::int64_t latent_channels = 0;
  std::int64_t patch = 0;               // side of a patch, in latent pixels
  std::vector<std::int64_t> axes_dims;  // rotary dimensions of frame, row, column
  std::vector<std::int64_t> axes_lens;  // positions on each axis stay under these
  double rope_theta = 0;
  float t_scale = 0;
  float norm_eps = 0;

  std::int64_t head_dim() const { return dim / heads; }
  // Source: FeedForward(dim, int(dim / 3 * 8)) of ZImageTransformerBlock.
  std::int64_t ffn_dim() const {
    return static_cast<std::int64_t>(static_cast<double>(dim) / 3 * 8);
  }
  // Features of one token at the edges: patch * patch * latent_channels, ordered (row, column,
  // channel).
  std::int64_t token_features() const { return patch * patch * latent_channels; }
  // Width of the conditioning vector. Source: ADALN_EMBED_DIM.
  std::int64_t conditioning_dim() const { return dim < 256 ? dim : 256; }
  std::int64_t modulated_blocks() const { return refiner_layers + layers; }

  // Throws InvalidFile for a missing or senseless value, Unsupported for a variant of the
  // architecture that this engine does not compute.
  static TransformerConfig from_json(const JsonObject& json);
};

}  // namespace zimage
