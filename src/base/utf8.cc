// Decodes, checks and encodes.
#include "base/utf8.h"

#include <cstdint>

namespace zimage {

Utf8Character first_character(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {};
  char32_t code = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {};
    code = (code << 6) | (byte(i) & 0x3fU);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
  return {code, length};
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = first_character(text.substr(at)).length;
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

std::string utf8_or_latin1(std::string text) {
  if (!find_invalid_utf8(text)) return text;
  std::string converted;
  for (const char byte : text) append_utf8(converted, static_cast<std::uint8_t>(byte));
  return converted;
}

void append_utf8(std::string& text, char32_t code) {
  const auto append = [&text](char32_t byte) { text += static_cast<char>(byte); };
  const auto tail = [&append, code](int shift) { append(0x80U | ((code >> shift) & 0x3fU)); };
  if (code < 0x80) {
    append(code);
  } else if (code < 0x800) {
    append(0xc0U | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    append(0xe0U | (code >> 12));
    tail(6);
    tail(0);
  } else {
    append(0xf0U | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace zimage
