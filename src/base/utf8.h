// UTF-8, one character at a time. What enters: bytes of any origin. What leaves: code points, or
// the place of the first byte that is no UTF-8.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace zimage {

struct Utf8Character {
  char32_t code = 0;
  std::size_t length = 0;  // bytes; 0 when the text does not start with a well-formed sequence
};

// The first character of `text`. Overlong forms, surrogates and values above U+10FFFF are
// ill-formed. Source: Unicode 15.0, table 3-7.
Utf8Character first_character(std::string_view text);

// The offset of the first byte that does not belong to a well-formed sequence; nothing when all do.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// `text` where it is UTF-8, else its bytes read as Latin-1, whose texts are hardly ever both.
std::string utf8_or_latin1(std::string text);

// Appends the UTF-8 form of `code`. Precondition: at most U+10FFFF, no surrogate.
void append_utf8(std::string& text, char32_t code);

}  // namespace zimage
