// The vocabulary inside a GGUF file of llama.cpp becomes the text of a tokenizer.json.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"

namespace zimage {

// True when `metadata` (of parse_gguf) says that there is a vocabulary.
bool has_vocabulary(const Json& metadata);

// Nothing when `metadata` (of parse_gguf) holds no vocabulary; `name` stands for the file in
// messages. Byte-level BPE with the words of Qwen2: what tokenizer.ggml.model "gpt2" with
// tokenizer.ggml.pre "qwen2" stands for. Throws Unsupported for other kinds, InvalidFile for lists
// that do not fit. Source: class TokenType of gguf-py/gguf/constants.py of ggml-org/llama.cpp.
std::optional<std::string> tokenizer_json(const Json& metadata, const std::string& name);

}  // namespace zimage
