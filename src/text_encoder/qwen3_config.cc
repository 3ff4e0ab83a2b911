// Reads the text encoder's config.json, older and newer spellings.
#include <string>

#include "base/error.h"
#include "text_encoder/qwen3.h"

namespace zimage {
namespace {

// rope_theta is a top-level key in older files and lies inside rope_parameters in newer ones.
double read_rope_theta(const JsonObject& json) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!json.has(key)) continue;
    const JsonObject rope = json.object(key);
    const std::string type = rope.string("rope_type", rope.string("type", "default"));
    if (type != "default") {
      throw Error(ErrorCode::Unsupported,
                  rope.name() + ": rope_type is \"" + type + "\", expected \"default\"");
    }
    if (rope.has("rope_theta")) return rope.number("rope_theta");
  }
  return json.number("rope_theta");
}

void expect_false(const JsonObject& json, const char* key) {
  if (json.boolean(key, false)) {
    throw Error(ErrorCode::Unsupported, json.name() + ": \"" + key + "\" is true, expected false");
  }
}

// A size that buffers are made of: at least 1 and small enough that products of three cannot
// overflow.
std::int64_t read_size(const JsonObject& json, const char* key) {
  const std::int64_t value = json.integer(key);
  if (value < 1 || value > (1 << 20)) {
    throw Error(ErrorCode::InvalidFile, json.name() + ": \"" + key + "\" is " +
                                            std::to_string(value) + ", expected 1 to 1048576");
  }
  return value;
}

}  // namespace

Qwen3Config Qwen3Config::from_json(const JsonObject& json) {
  const std::string type = json.string("model_type");
  if (type != "qwen3") {
    throw Error(ErrorCode::Unsupported,
                json.name() + ": model_type is \"" + type + "\", expected \"qwen3\"");
  }
  expect_false(json, "attention_bias");
  expect_false(json, "use_sliding_window");
  if (const std::string act = json.string("hidden_act", "silu"); act != "silu") {
    throw Error(ErrorCode::Unsupported,
                json.name() + ": hidden_act is \"" + act + "\", expected \"silu\"");
  }
  Qwen3Config config{
      .layers = read_size(json, "num_hidden_layers"),
      .hidden = read_size(json, "hidden_size"),
      .heads = read_size(json, "num_attention_heads"),
      .kv_heads = read_size(json, "num_key_value_heads"),
      .head_dim = read_size(json, "head_dim"),
      .ffn_dim = read_size(json, "intermediate_size"),
      .vocabulary = read_size(json, "vocab_size"),
      .rope_theta = read_rope_theta(json),
      .norm_eps = static_cast<float>(json.number("rms_norm_eps")),
  };
  if (config.layers < 2)
    throw Error(ErrorCode::Unsupported,
                json.name() + ": num_hidden_layers is 1, expected 2 or more");
  if (config.heads % config.kv_heads != 0) {
    throw Error(ErrorCode::InvalidFile, json.name() + ": num_attention_heads is " +
                                            std::to_string(config.heads) +
                                            ", expected a multiple of num_key_value_heads " +
                                            std::to_string(config.kv_heads));
  }
  return config;
}

}  // namespace zimage
