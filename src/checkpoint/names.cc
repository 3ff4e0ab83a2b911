// Prefixes, then a table for each spelling.
#include "checkpoint/names.h"

#include <algorithm>
#include <array>
#include <optional>

namespace zimage {
namespace {

// Longer ones before what they begin with.
constexpr std::array<std::string_view, 10> kPrefixes = {
    "model.diffusion_model.",
    "diffusion_model.",
    "text_encoders.qwen3_4b.transformer.model.",
    "text_encoders.qwen3_4b.transformer.",
    "text_encoders.llm.model.",
    "text_encoders.llm.",
    "first_stage_model.",
    "vae.",
    "transformer.",
    "model.",
};

struct Renaming {
  std::string_view from;
  std::string_view to;
};

// Source: ZImageTransformer2DModel's conversion in loaders/single_file_utils.py of diffusers.
constexpr std::array kNativeBegins = {Renaming{"x_embedder.", "all_x_embedder.2-1."},
                                      Renaming{"final_layer.", "all_final_layer.2-1."}};
constexpr std::array kNativeEnds = {
    Renaming{".attention.out.weight", ".attention.to_out.0.weight"},
    Renaming{".attention.q_norm.weight", ".attention.norm_q.weight"},
    Renaming{".attention.k_norm.weight", ".attention.norm_k.weight"}};
// In the file of the native transformer, but no network has it.
constexpr std::string_view kUnused = "norm_final.weight";

// Source: MODEL_TENSORS and QWEN3 of gguf-py/gguf/constants.py of ggml-org/llama.cpp.
constexpr std::array kLlamaWhole = {Renaming{"token_embd.weight", "embed_tokens.weight"},
                                    Renaming{"output_norm.weight", "norm.weight"},
                                    Renaming{"output.weight", "lm_head.weight"}};
constexpr std::array kLlamaLayer = {Renaming{"attn_norm.", "input_layernorm."},
                                    Renaming{"attn_q.", "self_attn.q_proj."},
                                    Renaming{"attn_k.", "self_attn.k_proj."},
                                    Renaming{"attn_v.", "self_attn.v_proj."},
                                    Renaming{"attn_output.", "self_attn.o_proj."},
                                    Renaming{"attn_q_norm.", "self_attn.q_norm."},
                                    Renaming{"attn_k_norm.", "self_attn.k_norm."},
                                    Renaming{"ffn_norm.", "post_attention_layernorm."},
                                    Renaming{"ffn_gate.", "mlp.gate_proj."},
                                    Renaming{"ffn_up.", "mlp.up_proj."},
                                    Renaming{"ffn_down.", "mlp.down_proj."}};

// Source: convert_ldm_vae_checkpoint in loaders/single_file_utils.py of diffusers.
constexpr std::array kVaeBegins = {
    Renaming{"mid.block_1.", "mid_block.resnets.0."},
    Renaming{"mid.block_2.", "mid_block.resnets.1."},
    Renaming{"mid.attn_1.norm.", "mid_block.attentions.0.group_norm."},
    Renaming{"mid.attn_1.q.", "mid_block.attentions.0.to_q."},
    Renaming{"mid.attn_1.k.", "mid_block.attentions.0.to_k."},
    Renaming{"mid.attn_1.v.", "mid_block.attentions.0.to_v."},
    Renaming{"mid.attn_1.proj_out.", "mid_block.attentions.0.to_out.0."},
    Renaming{"norm_out.", "conv_norm_out."}};
constexpr std::string_view kDecoder = "decoder.";
constexpr std::string_view kEncoder = "encoder.";
constexpr std::string_view kVaeLevel = "decoder.up.";
constexpr std::string_view kEncoderLevel = "encoder.down.";

template <std::size_t kCount>
const Renaming* find_begin(const std::array<Renaming, kCount>& table, std::string_view name) {
  const auto found = std::ranges::find_if(
      table, [name](const Renaming& entry) { return name.starts_with(entry.from); });
  return found == table.end() ? nullptr : &*found;
}

std::string replaced_begin(std::string_view name, const Renaming& entry) {
  return std::string(entry.to) + std::string(name.substr(entry.from.size()));
}

// The number that `text` begins with, below 1000, and what follows its dot.
struct Indexed {
  int index;
  std::string_view rest;
};

std::optional<Indexed> split_index(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == 0 || dot == std::string_view::npos || dot > 3) return std::nullopt;
  int index = 0;
  for (const char digit : text.substr(0, dot)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    index = index * 10 + (digit - '0');
  }
  return Indexed{.index = index, .rest = text.substr(dot + 1)};
}

std::optional<std::string> from_llama(std::string_view name) {
  constexpr std::string_view kLayer = "blk.";
  for (const Renaming& entry : kLlamaWhole) {
    if (name == entry.from) return std::string(entry.to);
  }
  if (!name.starts_with(kLayer)) return std::nullopt;
  const std::optional<Indexed> layer = split_index(name.substr(kLayer.size()));
  if (!layer) return std::nullopt;
  const Renaming* const entry = find_begin(kLlamaLayer, layer->rest);
  if (entry == nullptr) return std::nullopt;
  return "layers." + std::to_string(layer->index) + "." + replaced_begin(layer->rest, *entry);
}

std::optional<std::string> from_native(std::string_view name) {
  if (const Renaming* const entry = find_begin(kNativeBegins, name))
    return replaced_begin(name, *entry);
  for (const Renaming& entry : kNativeEnds) {
    if (name.ends_with(entry.from)) {
      return std::string(name.substr(0, name.size() - entry.from.size())) + std::string(entry.to);
    }
  }
  return std::nullopt;
}

// Of one level of the decoder or the encoder, `rest` behind "decoder.up.3.".
std::string vae_level(std::string_view rest) {
  constexpr std::string_view kBlock = "block.";
  constexpr std::string_view kShortcut = "nin_shortcut.";
  constexpr std::array kSampling = {Renaming{"upsample.conv.", "upsamplers.0.conv."},
                                    Renaming{"downsample.conv.", "downsamplers.0.conv."}};
  if (const Renaming* const entry = find_begin(kSampling, rest))
    return replaced_begin(rest, *entry);
  if (!rest.starts_with(kBlock)) return std::string(rest);
  std::string name = "resnets." + std::string(rest.substr(kBlock.size()));
  const std::size_t shortcut = name.find(kShortcut);
  if (shortcut != std::string::npos) name.replace(shortcut, kShortcut.size(), "conv_shortcut.");
  return name;
}

// 1x1 kernels of the autoencoder's attention are matrices to the engine; a pad token is one row.
void adapt_shape(std::string_view name, HostTensor& tensor) {
  if (tensor.is_quantized()) return;
  const Shape& shape = tensor.shape;
  const bool attends = name.starts_with("decoder.mid_block.attentions.") ||
                       name.starts_with("encoder.mid_block.attentions.");
  if (attends && shape.rank() == 4 && shape[2] == 1 && shape[3] == 1) {
    tensor.shape = {shape[0], shape[1]};
  } else if (name.ends_with("_pad_token") && shape.rank() == 1) {
    tensor.shape = {1, shape[0]};
  }
  tensor.stored.shape = tensor.shape;
}

}  // namespace

std::string without_prefix(std::string_view stored) {
  for (const std::string_view prefix : kPrefixes) {
    if (stored.starts_with(prefix)) return std::string(stored.substr(prefix.size()));
  }
  return std::string(stored);
}

std::string_view part_of_prefix(std::string_view stored) {
  if (stored.starts_with("model.diffusion_model.") || stored.starts_with("diffusion_model."))
    return "transformer";
  if (stored.starts_with("text_encoders.")) return "text_encoder";
  if (stored.starts_with("first_stage_model.") || stored.starts_with("vae.")) return "vae";
  return {};
}

std::string_view network_of(std::string_view stored) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kSigns = {
      {{"context_refiner.", "transformer"},
       {"layers.0.self_attn.q_norm.", "text_encoder"},
       {"blk.0.attn_q_norm.", "text_encoder"},
       {"decoder.conv_in.", "vae"}}};
  const std::string bare = without_prefix(stored);
  for (const auto& [sign, network] : kSigns) {
    if (bare.starts_with(sign)) return network;
  }
  return {};
}

std::string native_name(std::string_view name) {
  for (const Renaming& entry : kNativeBegins) {
    if (name.starts_with(entry.to)) return replaced_begin(name, {entry.to, entry.from});
  }
  for (const Renaming& entry : kNativeEnds) {
    if (!name.ends_with(entry.to)) continue;
    return std::string(name.substr(0, name.size() - entry.to.size())) + std::string(entry.from);
  }
  return std::string(name);
}

std::optional<std::string> llama_name(std::string_view name) {
  constexpr std::string_view kLayer = "layers.";
  for (const Renaming& entry : kLlamaWhole) {
    if (name == entry.to) return std::string(entry.from);
  }
  if (!name.starts_with(kLayer)) return std::nullopt;
  const std::optional<Indexed> layer = split_index(name.substr(kLayer.size()));
  if (!layer) return std::nullopt;
  for (const Renaming& entry : kLlamaLayer) {
    if (layer->rest.starts_with(entry.to)) {
      return "blk." + std::to_string(layer->index) + "." +
             replaced_begin(layer->rest, {entry.to, entry.from});
    }
  }
  return std::nullopt;
}

NameTranslation::NameTranslation(const std::map<std::string, HostTensor, std::less<>>& stored) {
  for (const auto& [name, tensor] : stored) {
    const std::string bare = without_prefix(name);
    if (!bare.starts_with(kVaeLevel)) continue;
    const auto level = split_index(std::string_view(bare).substr(kVaeLevel.size()));
    if (level) levels_ = std::max(levels_, level->index + 1);
  }
}

std::string NameTranslation::translated(std::string_view name) const {
  if (const auto llama = from_llama(name)) return *llama;
  if (const auto native = from_native(name)) return *native;
  for (const std::string_view network : {kDecoder, kEncoder}) {
    if (!name.starts_with(network)) continue;
    const std::string_view rest = name.substr(network.size());
    if (const Renaming* const entry = find_begin(kVaeBegins, rest))
      return std::string(network) + replaced_begin(rest, *entry);
  }
  if (name.starts_with(kEncoderLevel)) {
    if (const auto level = split_index(name.substr(kEncoderLevel.size()))) {
      return "encoder.down_blocks." + std::to_string(level->index) + "." + vae_level(level->rest);
    }
  }
  if (name.starts_with(kVaeLevel)) {
    if (const auto level = split_index(name.substr(kVaeLevel.size()))) {
      return "decoder.up_blocks." + std::to_string(levels_ - 1 - level->index) + "." +
             vae_level(level->rest);
    }
  }
  return std::string(name);
}

std::vector<std::pair<std::string, HostTensor>> NameTranslation::operator()(
    std::string_view stored, const HostTensor& tensor) const {
  const std::string bare = without_prefix(stored);
  if (bare == kUnused) return {};
  std::vector<std::pair<std::string, HostTensor>> result;
  const bool thirds = tensor.shape.rank() == 2 && tensor.shape[0] % 3 == 0;
  if (bare.ends_with(".attention.qkv.weight") && thirds) {
    const std::string module = bare.substr(0, bare.size() - kFusedProjection.size());
    const std::int64_t rows = tensor.shape[0] / 3;
    for (std::size_t i = 0; i < kFusedParts.size(); ++i) {
      const auto first = static_cast<std::int64_t>(i) * rows;
      result.emplace_back(module + std::string(kFusedParts[i]), tensor.rows(first, first + rows));
    }
    return result;
  }
  const auto& [name, adapted] = result.emplace_back(translated(bare), tensor);
  adapt_shape(name, result.back().second);
  return result;
}

}  // namespace zimage
