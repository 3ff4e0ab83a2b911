// Keys of llama.cpp and of those who took its format for diffusion models.
#include "convert/gguf_facts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/gguf_tokenizer.h"

namespace zimage {
namespace {

// `enum llama_ftype`.
std::uint32_t file_type(TargetEncoding encoding) {
  switch (encoding) {
    case TargetEncoding::Q80: return 7;
    case TargetEncoding::Q4K: return 14;
    case TargetEncoding::Q5K: return 16;
    case TargetEncoding::Q6K: return 18;
    case TargetEncoding::Bf16:
    case TargetEncoding::Fp8: break;
  }
  return 32;
}

void add_general(GgufFacts& facts, std::string_view architecture, TargetEncoding encoding) {
  facts.add("general.architecture", architecture);
  facts.add("general.quantization_version", std::uint32_t{2});
  facts.add("general.file_type", file_type(encoding));
}

std::uint32_t size_in(const JsonObject& config, const char* key) {
  const std::int64_t value = config.integer(key);
  if (value >= 1 && value <= (1 << 30)) return static_cast<std::uint32_t>(value);
  throw Error(ErrorCode::InvalidFile, config.name() + ": \"" + key + "\" is " +
                                          std::to_string(value) + ", expected a size");
}

float rope_base(const JsonObject& config) {
  constexpr double kPublished = 1e6;
  const double plain = config.number("rope_theta", kPublished);
  if (!config.has("rope_parameters")) return static_cast<float>(plain);
  return static_cast<float>(config.object("rope_parameters").number("rope_theta", plain));
}

void add_vocabulary(GgufFacts& facts, const GgufVocabulary& vocabulary) {
  facts.add("tokenizer.ggml.model", "gpt2");
  facts.add("tokenizer.ggml.pre", "qwen2");
  facts.add("tokenizer.ggml.tokens", vocabulary.tokens);
  facts.add("tokenizer.ggml.token_type", vocabulary.token_types);
  facts.add("tokenizer.ggml.merges", vocabulary.merges);
  const auto add_id = [&](std::string_view key, std::string_view token) {
    const auto found = std::ranges::find(vocabulary.tokens, token);
    if (found != vocabulary.tokens.end())
      facts.add(key, static_cast<std::uint32_t>(found - vocabulary.tokens.begin()));
  };
  add_id("tokenizer.ggml.eos_token_id", "<|im_end|>");
  add_id("tokenizer.ggml.padding_token_id", "<|endoftext|>");
  facts.add_flag("tokenizer.ggml.add_bos_token", 0);
}

}  // namespace

GgufFacts transformer_facts(const std::string& config, TargetEncoding encoding) {
  GgufFacts facts;
  add_general(facts, "lumina2", encoding);
  if (!config.empty()) facts.add("config", std::string_view(config));
  return facts;
}

GgufFacts text_encoder_facts(const JsonObject& config, const Json& tokenizer,
                             TargetEncoding encoding) {
  constexpr std::int64_t kPublishedLength = 40960;
  GgufFacts facts;
  add_general(facts, "qwen3", encoding);
  const std::uint32_t head_dim = size_in(config, "head_dim");
  facts.add("qwen3.block_count", size_in(config, "num_hidden_layers"));
  facts.add("qwen3.context_length", config.has("max_position_embeddings")
                                        ? size_in(config, "max_position_embeddings")
                                        : static_cast<std::uint32_t>(kPublishedLength));
  facts.add("qwen3.embedding_length", size_in(config, "hidden_size"));
  facts.add("qwen3.feed_forward_length", size_in(config, "intermediate_size"));
  facts.add("qwen3.attention.head_count", size_in(config, "num_attention_heads"));
  facts.add("qwen3.attention.head_count_kv", size_in(config, "num_key_value_heads"));
  facts.add("qwen3.attention.key_length", head_dim);
  facts.add("qwen3.attention.value_length", head_dim);
  facts.add("qwen3.attention.layer_norm_rms_epsilon",
            static_cast<float>(config.number("rms_norm_eps", 1e-6)));
  facts.add("qwen3.rope.freq_base", rope_base(config));
  if (tokenizer.is_null()) return facts;
  const auto vocabulary = gguf_vocabulary(tokenizer, size_in(config, "vocab_size"), config.name());
  if (vocabulary) {
    add_vocabulary(facts, *vocabulary);
  } else {
    log(LogLevel::Warning,
        "the tokenizer cuts words in another way than Qwen2's, and is left out "
        "of the text encoder's GGUF file");
  }
  return facts;
}

}  // namespace zimage
