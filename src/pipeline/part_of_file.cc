// Opens the file as each part and sees whether that works.
#include "pipeline/part_of_file.h"

#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "text_encoder/qwen3.h"
#include "transformer/config.h"
#include "vae/vae.h"

namespace zimage {
namespace {

// `tensor` is one that no other network has.
template <typename Read>
auto read_part(const std::filesystem::path& file, std::string_view part, std::string_view tensor,
               Read read) -> std::optional<decltype(read(std::declval<JsonObject>()))> {
  try {
    const CheckpointPart opened = CheckpointPart::open_file(file, part, {});
    if (opened.tensors().contains(tensor)) return read(opened.config());
    log(LogLevel::Debug, file.string() + ": no " + std::string(part) + ", it lacks the tensor " +
                             std::string(tensor));
  } catch (const Error& error) {
    log(LogLevel::Debug, "no " + std::string(part) + ": " + error.what());
  }
  return std::nullopt;
}

}  // namespace

std::optional<TransformerFit> transformer_in(const std::filesystem::path& file) {
  return read_part(file, "transformer", "context_refiner.0.attention.to_q.weight",
                   [](const JsonObject& config) {
                     const auto parsed = TransformerConfig::from_json(config);
                     return TransformerFit{.caption_dim = parsed.caption_dim,
                                           .latent_channels = parsed.latent_channels};
                   });
}

std::optional<std::int64_t> text_encoder_in(const std::filesystem::path& file) {
  return read_part(file, "text_encoder", "layers.0.self_attn.q_norm.weight",
                   [](const JsonObject& config) { return Qwen3Config::from_json(config).hidden; });
}

std::optional<std::int64_t> vae_in(const std::filesystem::path& file) {
  return read_part(file, "vae", "decoder.conv_in.weight", [](const JsonObject& config) {
    return VaeConfig::from_json(config).latent_channels;
  });
}

}  // namespace zimage
