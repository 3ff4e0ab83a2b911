// Escapes and shortens.
#include "base/quote.h"

#include <cstddef>
#include <cstdint>

namespace zimage {
namespace {

constexpr std::size_t kMaxBytes = 200;

// Bytes of the well-formed, printable UTF-8 sequence at the start of `text`; 0 when there is none.
// C1 control characters (U+0080 to U+009F) count as unprintable: terminals obey them.
std::size_t printable_length(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  std::uint32_t code = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return 0;
    code = (code << 6) | (byte(i) & 0x3fU);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0xa0, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  return length;
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    if (at >= kMaxBytes) return result + "... (" + std::to_string(text.size()) + " bytes)";
    const std::size_t length = printable_length(text.substr(at));
    if (length > 0) {
      result += text.substr(at, length);
    } else {
      const auto byte = static_cast<unsigned char>(text[at]);
      result += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15U]};
    }
    at += length > 0 ? length : 1;
  }
  return result;
}

std::string quote(std::string_view text) {
  return "\"" + printable(text) + "\"";
}

}  // namespace zimage
