// What a single file of weights can be in a model, judged by its tensors and configuration. Headers
// alone are read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace zimage {

// What the other parts have to match.
struct TransformerFit {
  std::int64_t caption_dim = 0;
  std::int64_t latent_channels = 0;
};

// Absent where `file` holds no Z-Image transformer that the engine can read; the reason is logged
// for debugging.
std::optional<TransformerFit> transformer_in(const std::filesystem::path& file);
// The features of the Qwen3 text encoder in `file`; absent as above.
std::optional<std::int64_t> text_encoder_in(const std::filesystem::path& file);
// The latent channels of the autoencoder in `file`; absent as above.
std::optional<std::int64_t> vae_in(const std::filesystem::path& file);

}  // namespace zimage
