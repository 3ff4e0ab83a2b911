// A TIFF directory with two texts, big-endian. Source: EXIF 2.32, 4.6; piexif's UserComment, which
// A1111 writes.
#include <algorithm>
#include <string>

#include "base/utf8.h"
#include "image/encoders.h"

namespace zimage {
namespace {

constexpr std::uint32_t kImageDescription = 0x010e;
constexpr std::uint32_t kExifDirectory = 0x8769;
constexpr std::uint32_t kUserComment = 0x9286;
constexpr std::uint32_t kAscii = 2;
constexpr std::uint32_t kLong = 4;
constexpr std::uint32_t kUndefined = 7;

void put(std::vector<std::uint8_t>& bytes, std::uint32_t value, int size) {
  for (int i = size - 1; i >= 0; --i) bytes.push_back(static_cast<std::uint8_t>(value >> 8 * i));
}

void put_entry(std::vector<std::uint8_t>& bytes, std::uint32_t tag, std::uint32_t type,
               std::size_t count, std::size_t value) {
  put(bytes, tag, 2);
  put(bytes, type, 2);
  put(bytes, static_cast<std::uint32_t>(count), 4);
  put(bytes, static_cast<std::uint32_t>(value), 4);
}

// UTF-8 as UTF-16.
std::vector<std::uint32_t> utf16_of(std::string_view text) {
  std::vector<std::uint32_t> units;
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    text.remove_prefix(character.length);
    const auto code = static_cast<std::uint32_t>(character.code);
    if (code >= 0x10000) {
      units.push_back(0xd800 + ((code - 0x10000) >> 10));
      units.push_back(0xdc00 + ((code - 0x10000) & 0x3ff));
    } else {
      units.push_back(code);
    }
  }
  return units;
}

std::vector<std::uint8_t> user_comment(std::string_view text) {
  constexpr std::string_view kUnicode("UNICODE\0", 8);
  std::vector<std::uint8_t> bytes(kUnicode.begin(), kUnicode.end());
  for (const std::uint32_t unit : utf16_of(text)) put(bytes, unit, 2);
  return bytes;
}

// ImageDescription is ASCII: what is not becomes an escape, as JSON has it.
std::string escaped(std::string_view json) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint32_t unit : utf16_of(json)) {
    if (unit < 0x80) {
      text += static_cast<char>(unit);
      continue;
    }
    text += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) text += kDigits[unit >> shift & 0xf];
  }
  return text;
}

}  // namespace

std::vector<std::uint8_t> exif_of(const ImageText& text) {
  std::string description;
  std::vector<std::uint8_t> comment;
  for (const auto& [keyword, value] : text) {
    if (keyword == "parameters") {
      comment = user_comment(value);
    } else {
      if (!description.empty()) description += '\n';
      description += escaped(value);
    }
  }
  // A value of four bytes or fewer would lie in its entry: none is so short.
  description.resize(std::max<std::size_t>(description.size() + 1, 5), '\0');
  comment.resize(std::max<std::size_t>(comment.size(), 8), '\0');
  constexpr std::size_t kFirst = 8;
  constexpr std::size_t kSecond = kFirst + 2 + 2 * 12 + 4;
  constexpr std::size_t kValues = kSecond + 2 + 12 + 4;
  std::vector<std::uint8_t> bytes = {'M', 'M'};
  put(bytes, 42, 2);
  put(bytes, kFirst, 4);
  put(bytes, 2, 2);
  put_entry(bytes, kImageDescription, kAscii, description.size(), kValues);
  put_entry(bytes, kExifDirectory, kLong, 1, kSecond);
  put(bytes, 0, 4);
  put(bytes, 1, 2);
  put_entry(bytes, kUserComment, kUndefined, comment.size(), kValues + description.size());
  put(bytes, 0, 4);
  bytes.insert(bytes.end(), description.begin(), description.end());
  bytes.insert(bytes.end(), comment.begin(), comment.end());
  return bytes;
}

}  // namespace zimage
