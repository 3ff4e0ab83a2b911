// Tensor names as files spell them, and as the engine does: diffusers' and transformers' names of
// the bare networks. Nothing above this room sees another spelling.
#pragma once

#include <string>
#include <string_view>

namespace zimage {

// The engine's name of a stored tensor. Removes the prefix that a wrapper puts before the network's
// own names: "model.", of transformers' Qwen3ForCausalLM.
std::string canonical_name(std::string_view stored);

}  // namespace zimage
