// Reads and checks the autoencoder's config.json.
#include "vae/config.h"

#include <string>

#include "base/error.h"

namespace zimage {
namespace {

[[noreturn]] void reject(ErrorCode code, const JsonObject& json, const std::string& key,
                         const std::string& found, const std::string& expected) {
  throw Error(code, json.name() + ": \"" + key + "\" is " + found + ", expected " + expected);
}

void check_range(const JsonObject& json, const char* key, std::int64_t value,
                 std::int64_t highest) {
  if (value < 1 || value > highest) {
    reject(ErrorCode::InvalidFile, json, key, std::to_string(value),
           "1 to " + std::to_string(highest));
  }
}

void check_variant(const JsonObject& json) {
  if (json.boolean("use_post_quant_conv", true)) {
    reject(ErrorCode::Unsupported, json, "use_post_quant_conv", "true", "false");
  }
  if (json.has("latents_mean") || json.has("latents_std")) {
    reject(ErrorCode::Unsupported, json, "latents_mean", "set", "null");
  }
  if (json.integer("out_channels", 3) != 3)
    reject(ErrorCode::Unsupported, json, "out_channels", "not 3", "3");
  if (const std::string act = json.string("act_fn", "silu"); act != "silu") {
    reject(ErrorCode::Unsupported, json, "act_fn", "\"" + act + "\"", "\"silu\"");
  }
  for (const std::string& type : json.strings("up_block_types")) {
    if (type != "UpDecoderBlock2D") {
      reject(ErrorCode::Unsupported, json, "up_block_types", "\"" + type + "\"",
             "\"UpDecoderBlock2D\"");
    }
  }
}

}  // namespace

VaeConfig VaeConfig::from_json(const JsonObject& json) {
  check_variant(json);
  const VaeConfig config{
      .channels = json.integers("block_out_channels"),
      .layers_per_block = json.integer("layers_per_block"),
      .latent_channels = json.integer("latent_channels"),
      .groups = json.integer("norm_num_groups"),
      .sample_size = json.integer("sample_size"),
      .scaling_factor = static_cast<float>(json.number("scaling_factor")),
      .shift_factor = static_cast<float>(json.number("shift_factor")),
      .mid_attention = json.boolean("mid_block_add_attention", true),
      .quant_conv = json.boolean("use_quant_conv", true),
  };
  check_range(json, "layers_per_block", config.layers_per_block, 64);
  check_range(json, "latent_channels", config.latent_channels, 4096);
  check_range(json, "norm_num_groups", config.groups, 4096);
  check_range(json, "sample_size", config.sample_size, 65536);
  check_range(json, "block_out_channels", static_cast<std::int64_t>(config.channels.size()), 8);
  for (const std::int64_t channels : config.channels) {
    check_range(json, "block_out_channels", channels, 65536);
    if (channels % config.groups != 0) {
      reject(ErrorCode::InvalidFile, json, "block_out_channels", std::to_string(channels),
             "multiples of norm_num_groups");
    }
  }
  if (config.scaling_factor == 0.0F)
    reject(ErrorCode::InvalidFile, json, "scaling_factor", "0", "another number");
  return config;
}

}  // namespace zimage
