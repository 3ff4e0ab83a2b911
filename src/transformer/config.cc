// Reads and checks the transformer's config.json.
#include "transformer/config.h"

#include <numeric>
#include <string>

#include "base/error.h"

namespace zimage {
namespace {

[[noreturn]] void reject(ErrorCode code, const JsonObject& json, const std::string& key,
                         const std::string& found, const std::string& expected) {
  throw Error(code, json.name() + ": \"" + key + "\" is " + found + ", expected " + expected);
}

// Products of three sizes under this bound fit an int64.
std::int64_t read_size(const JsonObject& json, const char* key) {
  const std::int64_t value = json.integer(key);
  if (value < 1 || value > (1 << 20)) {
    reject(ErrorCode::InvalidFile, json, key, std::to_string(value), "1 to 1048576");
  }
  return value;
}

// The one patch size of this model, [2] in every published file.
std::int64_t read_single(const JsonObject& json, const char* key, std::int64_t lowest,
                         std::int64_t highest) {
  const std::vector<std::int64_t> list = json.integers(key);
  if (list.size() != 1 || list[0] < lowest || list[0] > highest) {
    reject(ErrorCode::Unsupported, json, key, std::to_string(list.size()) + " values",
           "one value from " + std::to_string(lowest) + " to " + std::to_string(highest));
  }
  return list[0];
}

void check(const JsonObject& json, const TransformerConfig& config) {
  if (config.dim % config.heads != 0) {
    reject(ErrorCode::InvalidFile, json, "dim", std::to_string(config.dim),
           "a multiple of n_heads");
  }
  if (json.integer("n_kv_heads", config.heads) != config.heads) {
    reject(ErrorCode::Unsupported, json, "n_kv_heads", std::to_string(json.integer("n_kv_heads")),
           "n_heads, " + std::to_string(config.heads));
  }
  if (!json.boolean("qk_norm", true))
    reject(ErrorCode::Unsupported, json, "qk_norm", "false", "true");
  if (json.has("siglip_feat_dim")) {
    reject(ErrorCode::Unsupported, json, "siglip_feat_dim", "set",
           "null: reference images are another variant");
  }
  if (config.axes_dims.size() != 3 || config.axes_lens.size() != 3) {
    reject(ErrorCode::InvalidFile, json, "axes_dims",
           std::to_string(config.axes_dims.size()) + " values", "three");
  }
  for (const std::int64_t dim : config.axes_dims) {
    if (dim < 2 || dim % 2 != 0 || dim > config.dim) {
      reject(ErrorCode::InvalidFile, json, "axes_dims", std::to_string(dim), "even numbers");
    }
  }
  if (std::accumulate(config.axes_dims.begin(), config.axes_dims.end(), std::int64_t{0}) !=
      config.head_dim()) {
    reject(ErrorCode::InvalidFile, json, "axes_dims", "another sum",
           "the sum dim / n_heads = " + std::to_string(config.head_dim()));
  }
}

}  // namespace

TransformerConfig TransformerConfig::from_json(const JsonObject& json) {
  read_single(json, "all_f_patch_size", 1, 1);
  const TransformerConfig config{
      .dim = read_size(json, "dim"),
      .heads = read_size(json, "n_heads"),
      .layers = read_size(json, "n_layers"),
      .refiner_layers = read_size(json, "n_refiner_layers"),
      .caption_dim = read_size(json, "cap_feat_dim"),
      .latent_channels = read_size(json, "in_channels"),
      .patch = read_single(json, "all_patch_size", 1, 16),
      .axes_dims = json.integers("axes_dims"),
      .axes_lens = json.integers("axes_lens"),
      .rope_theta = json.number("rope_theta"),
      .t_scale = static_cast<float>(json.number("t_scale")),
      .norm_eps = static_cast<float>(json.number("norm_eps")),
  };
  check(json, config);
  return config;
}

}  // namespace zimage
