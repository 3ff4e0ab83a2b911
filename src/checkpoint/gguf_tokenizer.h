// The vocabulary inside a GGUF file of llama.cpp becomes the text of a tokenizer.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace zimage {

// True when `file` is a GGUF file that holds a vocabulary, of whatever kind. Throws NotFound, or
// InvalidFile for a GGUF file that is damaged.
bool holds_vocabulary(const std::filesystem::path& file);

// Nothing when `metadata` (of parse_gguf) holds no vocabulary; `name` stands for the file in
// messages. Byte-level BPE with the words of Qwen2: what tokenizer.ggml.model "gpt2" with
// tokenizer.ggml.pre "qwen2" stands for. Throws Unsupported for other kinds, InvalidFile for lists
// that do not fit. Source: class TokenType of gguf-py/gguf/constants.py of ggml-org/llama.cpp.
std::optional<std::string> tokenizer_json(const Json& metadata, const std::string& name);

struct GgufVocabulary {
  std::vector<std::string> tokens;  // by id
  std::vector<std::int32_t> token_types;
  std::vector<std::string> merges;  // "left right"
};

// The other direction: `tokenizer` is a tokenizer.json, `rows` the embedding table's; ids without a
// token are filled. Nothing for a tokenizer that is no byte-level BPE with the words of Qwen2.
// Throws InvalidFile for ids that the table does not have.
std::optional<GgufVocabulary> gguf_vocabulary(const Json& tokenizer, std::int64_t rows,
                                              const std::string& name);

}  // namespace zimage
