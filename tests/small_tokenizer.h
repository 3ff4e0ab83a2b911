// The smallest tokenizer.json that has every part: a test changes what it is about.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/utf8.h"

namespace zimage {

// The character of byte-level BPE that stands for `byte`: printable Latin-1 for itself, the others
// counted up from U+0100.
inline std::string byte_character(std::size_t byte) {
  char32_t next = 0x100;
  for (std::size_t at = 0;; ++at) {
    const bool printable = (at >= 0x21 && at <= 0x7e) || (at >= 0xa1 && at <= 0xac) || at >= 0xae;
    const char32_t code = printable ? static_cast<char32_t>(at) : next++;
    if (at != byte) continue;
    std::string character;
    append_utf8(character, code);
    return character;
  }
}

// Tokens 0 to 255 are the bytes; 256 "ab", 257 "abc", 258 " a"; 259 is the added token <|x|>.
inline nlohmann::json small_tokenizer() {
  const std::string space = byte_character(' ');
  const std::string_view expression =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
      R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
  nlohmann::json file = {
      {"version", "1.0"},
      {"added_tokens", {{{"id", 259}, {"content", "<|x|>"}, {"normalized", false}}}},
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer",
       {{"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"},
           {"pattern", {{"Regex", expression}}},
           {"behavior", "Isolated"},
           {"invert", false}},
          {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}},
      {"post_processor", {{"type", "ByteLevel"}}},
      {"model",
       {{"type", "BPE"},
        {"vocab", {{"ab", 256}, {"abc", 257}, {space + "a", 258}}},
        {"merges", nlohmann::json::array({{"a", "b"}, {"ab", "c"}, {space, "a"}})}}}};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    file["model"]["vocab"][byte_character(byte)] = byte;
  }
  return file;
}

}  // namespace zimage
