// Opens the file as each part and sees whether that works.
#include "pipeline/part_of_file.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/names.h"
#include "text_encoder/qwen3.h"
#include "transformer/config.h"
#include "vae/vae.h"

namespace zimage {
namespace {

template <typename Read>
auto read_part(const std::filesystem::path& file, std::string_view part, Read read)
    -> std::optional<decltype(read(std::declval<JsonObject>()))> {
  try {
    const CheckpointPart opened = CheckpointPart::open_file(file, part, {});
    const bool is_part = std::ranges::any_of(
        opened.tensors(), [part](const auto& entry) { return network_of(entry.first) == part; });
    if (is_part) return read(opened.config());
    log(LogLevel::Debug, file.string() + ": no " + std::string(part) + ", by its tensors' names");
  } catch (const Error& error) {
    log(LogLevel::Debug, "no " + std::string(part) + ": " + error.what());
  }
  return std::nullopt;
}

}  // namespace

std::optional<TransformerFit> transformer_in(const std::filesystem::path& file) {
  return read_part(file, "transformer", [](const JsonObject& config) {
    const auto parsed = TransformerConfig::from_json(config);
    return TransformerFit{.caption_dim = parsed.caption_dim,
                          .latent_channels = parsed.latent_channels};
  });
}

std::optional<std::int64_t> text_encoder_in(const std::filesystem::path& file) {
  return read_part(file, "text_encoder",
                   [](const JsonObject& config) { return Qwen3Config::from_json(config).hidden; });
}

std::optional<std::int64_t> vae_in(const std::filesystem::path& file) {
  return read_part(file, "vae", [](const JsonObject& config) {
    return VaeConfig::from_json(config).latent_channels;
  });
}

}  // namespace zimage
