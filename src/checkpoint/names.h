// Tensor names as files spell them, and as the engine does: diffusers' and transformers' names of
// the bare networks. Nothing above this room sees another spelling.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/host_tensor.h"

namespace zimage {

// The engine's name of a stored tensor without the prefixes that wrappers put before a network's
// own names: "model." of transformers' Qwen3ForCausalLM, "model.diffusion_model." and others of
// ComfyUI and stable-diffusion.cpp.
std::string without_prefix(std::string_view stored);

// The part that a stored tensor's prefix names, in a file that holds several: "transformer",
// "text_encoder" or "vae"; empty without such a prefix.
std::string_view part_of_prefix(std::string_view stored);

// The network that alone has a tensor of this name, in any spelling: "transformer", "text_encoder"
// or "vae"; empty for a name that tells nothing. Every file of a network has such a tensor.
std::string_view network_of(std::string_view stored);

// The other direction, for files that other programs read. A transformer's tensor as Lumina 2's
// code, ComfyUI and stable-diffusion.cpp name it; the three projections stay apart (below).
std::string native_name(std::string_view name);
// A text encoder's tensor as llama.cpp names it; nothing for one that it has no name for.
std::optional<std::string> llama_name(std::string_view name);

// What native files stack by rows: names end with these, in this order, in place of the fused one.
inline constexpr std::string_view kFusedProjection = "qkv.weight";
inline constexpr std::array<std::string_view, 3> kFusedParts = {"to_q.weight", "to_k.weight",
                                                                "to_v.weight"};

// Translates the names of one part's files.
class NameTranslation {
 public:
  // Looks at all names of the part: the autoencoder's levels are counted from the other end in
  // Black Forest Labs' spelling.
  explicit NameTranslation(const std::map<std::string, HostTensor, std::less<>>& stored);

  // What a stored tensor is to the engine: itself, in most cases; of native fused projections
  // three tensors that share its rows; nothing for one that no network has use for. Spellings:
  // diffusers and transformers; native (Lumina 2's: x_embedder, attention.qkv, attention.out);
  // llama.cpp's of Qwen3 (blk.0.attn_q); Black Forest Labs' of the autoencoder
  // (decoder.up.3.block.0, mid.attn_1.q). Unknown names stay.
  std::vector<std::pair<std::string, HostTensor>> operator()(std::string_view stored,
                                                             const HostTensor& tensor) const;

 private:
  std::string translated(std::string_view name) const;

  int levels_ = 0;  // of the autoencoder
};

}  // namespace zimage
