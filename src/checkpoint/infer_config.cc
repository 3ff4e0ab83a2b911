// Counts layers and reads extents.
#include "checkpoint/infer_config.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/quote.h"

namespace zimage {
namespace {

// Reads extents of tensors that must exist.
class Extents {
 public:
  Extents(const TensorMap& tensors, const std::string& name) : tensors_(tensors), name_(name) {}

  std::int64_t of(const std::string& tensor, int axis) const {
    const auto found = tensors_.find(tensor);
    if (found == tensors_.end()) {
      throw Error(ErrorCode::NotFound,
                  name_ + ": tensor " + tensor + " is missing, by which the part's size is known");
    }
    if (axis >= found->second.shape.rank()) {
      throw Error(ErrorCode::InvalidFile, name_ + ": tensor " + tensor + " is " +
                                              to_string(found->second.shape) +
                                              ", expected more axes");
    }
    return found->second.shape[axis];
  }

  // How many different numbers follow `prefix`: "layers." in layers.0.x, layers.1.x.
  std::int64_t count(const std::string& prefix) const {
    std::set<std::string> numbers;
    for (auto entry = tensors_.lower_bound(prefix);
         entry != tensors_.end() && entry->first.starts_with(prefix); ++entry) {
      numbers.insert(entry->first.substr(prefix.size(),
                                         entry->first.find('.', prefix.size()) - prefix.size()));
    }
    return static_cast<std::int64_t>(numbers.size());
  }

  // a / b, where both are of the file.
  std::int64_t quotient(std::int64_t a, std::int64_t b) const {
    if (b > 0 && a % b == 0) return a / b;
    throw Error(ErrorCode::InvalidFile, name_ + ": " + std::to_string(a) +
                                            " features, expected a multiple of " +
                                            std::to_string(b));
  }

  bool has(const std::string& tensor) const { return tensors_.contains(tensor); }
  const std::string& name() const { return name_; }

 private:
  const TensorMap& tensors_;
  const std::string& name_;
};

// Source of all constants: the config.json files of Tongyi-MAI/Z-Image-Turbo.
Json transformer_config(const Extents& extents) {
  constexpr std::int64_t kPatch = 2;
  constexpr std::int64_t kHeadDim = 128;
  const std::int64_t dim = extents.of("all_x_embedder.2-1.weight", 0);
  const std::int64_t head_dim = extents.of("layers.0.attention.norm_q.weight", 0);
  if (head_dim != kHeadDim) {
    throw Error(ErrorCode::Unsupported,
                extents.name() + ": heads of " + std::to_string(head_dim) + " features, expected " +
                    std::to_string(kHeadDim) +
                    "; name a model folder with its configuration with --model");
  }
  const std::int64_t heads = extents.quotient(dim, head_dim);
  return {{"all_f_patch_size", {1}},
          {"all_patch_size", {kPatch}},
          {"axes_dims", {32, 48, 48}},
          {"axes_lens", {1536, 512, 512}},
          {"cap_feat_dim", extents.of("cap_embedder.1.weight", 1)},
          {"dim", dim},
          {"in_channels",
           extents.quotient(extents.of("all_x_embedder.2-1.weight", 1), kPatch * kPatch)},
          {"n_heads", heads},
          {"n_kv_heads", heads},
          {"n_layers", extents.count("layers.")},
          {"n_refiner_layers", extents.count("noise_refiner.")},
          {"norm_eps", 1e-5},
          {"qk_norm", true},
          {"rope_theta", 256.0},
          {"t_scale", 1000.0}};
}

Json text_encoder_config(const Extents& extents) {
  const std::string attention = "layers.0.self_attn.";
  const std::int64_t head_dim = extents.of(attention + "q_norm.weight", 0);
  return {{"model_type", "qwen3"},
          {"num_hidden_layers", extents.count("layers.")},
          {"hidden_size", extents.of("embed_tokens.weight", 1)},
          {"num_attention_heads",
           extents.quotient(extents.of(attention + "q_proj.weight", 0), head_dim)},
          {"num_key_value_heads",
           extents.quotient(extents.of(attention + "k_proj.weight", 0), head_dim)},
          {"head_dim", head_dim},
          {"intermediate_size", extents.of("layers.0.mlp.up_proj.weight", 0)},
          {"vocab_size", extents.of("embed_tokens.weight", 0)},
          {"rope_theta", 1e6},
          {"rms_norm_eps", 1e-6}};
}

Json vae_config(const Extents& extents) {
  const std::int64_t levels = extents.count("decoder.up_blocks.");
  Json channels = Json::array();
  Json types = Json::array();
  for (std::int64_t level = levels - 1; level >= 0; --level) {
    channels.push_back(
        extents.of("decoder.up_blocks." + std::to_string(level) + ".resnets.0.conv1.weight", 0));
    types.push_back("UpDecoderBlock2D");
  }
  return {{"act_fn", "silu"},
          {"block_out_channels", channels},
          {"latent_channels", extents.of("decoder.conv_in.weight", 1)},
          {"layers_per_block", extents.count("decoder.up_blocks.0.resnets.") - 1},
          {"norm_num_groups", 32},
          {"sample_size", 1024},
          {"scaling_factor", 0.3611},
          {"shift_factor", 0.1159},
          {"up_block_types", types},
          {"use_quant_conv", extents.has("quant_conv.weight")},
          {"use_post_quant_conv", false}};
}

}  // namespace

std::optional<Json> config_of_metadata(std::string_view part, const Json& metadata,
                                       const TensorMap& tensors, const std::string& name) {
  if (const auto text = metadata.find("config"); text != metadata.end() && text->is_string()) {
    const std::string place = name + ": config";
    Json config = parse_json(text->get_ref<const std::string&>(), place);
    static_cast<void>(JsonObject(config, place));
    const auto of_part = config.find(part);
    return of_part != config.end() && of_part->is_object() ? *of_part : config;
  }
  if (!metadata.contains("qwen3.block_count")) return std::nullopt;
  const JsonObject facts(metadata, name);
  return Json{{"model_type", "qwen3"},
              {"num_hidden_layers", facts.integer("qwen3.block_count")},
              {"hidden_size", facts.integer("qwen3.embedding_length")},
              {"num_attention_heads", facts.integer("qwen3.attention.head_count")},
              {"num_key_value_heads", facts.integer("qwen3.attention.head_count_kv")},
              {"head_dim", facts.integer("qwen3.attention.key_length", 128)},
              {"intermediate_size", facts.integer("qwen3.feed_forward_length")},
              {"vocab_size", Extents(tensors, name).of("embed_tokens.weight", 0)},
              {"max_position_embeddings", facts.integer("qwen3.context_length", 40960)},
              {"rope_theta", facts.number("qwen3.rope.freq_base", 1e6)},
              {"rms_norm_eps", facts.number("qwen3.attention.layer_norm_rms_epsilon", 1e-6)}};
}

Json config_of_shapes(std::string_view part, const TensorMap& tensors, const std::string& name) {
  const Extents extents(tensors, name);
  if (part == "transformer") return transformer_config(extents);
  return part == "vae" ? vae_config(extents) : text_encoder_config(extents);
}

Json published_scheduler_config() {
  return {{"num_train_timesteps", 1000}, {"shift", 3.0}, {"use_dynamic_shifting", false}};
}

}  // namespace zimage
