// Escapes and shortens.
#include "base/quote.h"

#include <algorithm>
#include <cstddef>

#include "base/utf8.h"

namespace zimage {
namespace {

constexpr std::size_t kMaxBytes = 200;

// Terminals obey the control characters of both ranges, C0 and C1.
bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

}  // namespace

bool has_control_character(std::string_view text) {
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    if (character.length > 0 && is_control(character.code)) return true;
    text.remove_prefix(std::max<std::size_t>(character.length, 1));
  }
  return false;
}

std::string printable(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    if (at >= kMaxBytes) return result + "... (" + std::to_string(text.size()) + " bytes)";
    const Utf8Character character = first_character(text.substr(at));
    const std::string_view bytes = text.substr(at, std::max<std::size_t>(character.length, 1));
    at += bytes.size();
    if (character.length > 0 && !is_control(character.code)) {
      result += bytes;
      continue;
    }
    for (const char c : bytes) {
      const auto byte = static_cast<unsigned char>(c);
      result += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15U]};
    }
  }
  return result;
}

std::string quote(std::string_view text) {
  std::string result = printable(text);
  result.insert(result.begin(), '"');
  result.push_back('"');
  return result;
}

}  // namespace zimage
