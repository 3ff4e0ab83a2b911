// Opening a model: configuration first, weights when they are needed.
#include "pipeline/model.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "base/json.h"
#include "base/mapped_file.h"

namespace zimage {
namespace {

// Source: max_sequence_length of ZImagePipeline.__call__; the template counts.
constexpr std::size_t kMaxPromptTokens = 512;
// Far more than any configuration file has.
constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;

// Reads one configuration file of a folder that has no weights.
template <typename Read>
auto read_config(const std::filesystem::path& file, Read read) {
  const Json json = parse_json(read_file(file, kMaxConfigBytes), file.string());
  return read(JsonObject(json, file.string()));
}

}  // namespace

Model::Model(const PipelineOptions& options)
    : folder_(options.model), random_tokens_(options.random_tokens) {
  if (options.random_weights) {
    text_encoder_ = read_config(folder_ / "text_encoder" / "config.json", Qwen3Config::from_json);
    transformer_ =
        read_config(folder_ / "transformer" / "config.json", TransformerConfig::from_json);
    vae_ = read_config(folder_ / "vae" / "config.json", VaeConfig::from_json);
    scheduler_ =
        read_config(folder_ / "scheduler" / "scheduler_config.json", read_scheduler_config);
  } else {
    checkpoint_ = Checkpoint::open(folder_, {.transformer = options.transformer,
                                             .text_encoder = options.text_encoder,
                                             .vae = options.vae,
                                             .tokenizer = options.tokenizer});
    text_encoder_ = Qwen3Config::from_json(checkpoint_->part("text_encoder").config());
    transformer_ = TransformerConfig::from_json(checkpoint_->part("transformer").config());
    vae_ = VaeConfig::from_json(checkpoint_->part("vae").config());
    const Json scheduler = checkpoint_->scheduler_config();
    scheduler_ =
        read_scheduler_config(JsonObject(scheduler, checkpoint_->scheduler_file().string()));
    const std::filesystem::path tokenizer = checkpoint_->tokenizer_file();
    const auto text = checkpoint_->tokenizer_of_gguf();
    tokenizer_ = text ? Tokenizer::parse(*text, tokenizer.string()) : Tokenizer::open(tokenizer);
  }
  check_fit();
}

void Model::check_fit() const {
  const auto expect = [&](const char* what, std::int64_t found, std::int64_t expected) {
    if (found == expected) return;
    throw Error(ErrorCode::InvalidFile, (folder_.empty() ? "the files" : folder_.string()) +
                                            ": the parts do not belong together: " + what + " is " +
                                            std::to_string(found) + ", expected " +
                                            std::to_string(expected));
  };
  expect("the transformer's cap_feat_dim", transformer_.caption_dim, text_encoder_.hidden);
  expect("the autoencoder's latent_channels", vae_.latent_channels, transformer_.latent_channels);
}

std::unique_ptr<PartWeights> Model::open(std::string_view name) const {
  if (!checkpoint_) return std::make_unique<PartWeights>();
  return std::make_unique<PartWeights>(checkpoint_->part(name));
}

PromptTokens Model::tokenize(std::string_view prompt) const {
  PromptTokens tokens;
  if (tokenizer_) {
    tokens.ids = tokenizer_->encode(apply_chat_template(prompt));
  } else {
    for (std::int64_t i = 0; i < random_tokens_; ++i) {
      tokens.ids.push_back(static_cast<std::int32_t>(i * 7919 % text_encoder_.vocabulary));
    }
  }
  const std::size_t kept = std::min(tokens.ids.size(), kMaxPromptTokens);
  tokens.dropped = static_cast<std::int64_t>(tokens.ids.size() - kept);
  tokens.ids.resize(kept);
  return tokens;
}

}  // namespace zimage
