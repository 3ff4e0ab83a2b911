// Reads tokenizer.json of huggingface/tokenizers. What enters: the file's text; what leaves: what
// encoding needs of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"

namespace zimage {

struct TokenizerFile {
  bool nfc = false;
  std::string split_expression;
  std::vector<AddedToken> added_tokens;  // of unique content
  Bpe bpe;
  std::int32_t size = 0;  // the largest id, plus 1
};

// `name` stands for the file in messages. Throws InvalidFile for what is not such a file, and
// Unsupported, naming the key, for a component that this engine does not have.
TokenizerFile read_tokenizer_file(std::string_view json, const std::string& name);

}  // namespace zimage
