// What is read of a TIFF file, which an EXIF block is: the orientation and texts. Source:
// EXIF 2.32, 4.6; TIFF 6.0, section 2.
#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "image/samples.h"

namespace zimage {
namespace {

constexpr std::array<std::uint8_t, 6> kExifMark = {'E', 'x', 'i', 'f', 0, 0};
constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kDirectoryTag = 0x8769;
constexpr std::uint32_t kUserCommentTag = 0x9286;
constexpr std::uint32_t kShort = 3;
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kEntryBytes = 12;

struct NamedTag {
  std::uint32_t tag;
  const char* name;
};
// ComfyUI keeps its graphs in the last two.
constexpr std::array kTextTags = {NamedTag{0x010e, "ImageDescription"}, NamedTag{0x010f, "Make"},
                                  NamedTag{0x0110, "Model"}};

// One entry of a directory.
struct Entry {
  std::uint32_t type = 0;
  std::size_t count = 0;
  std::size_t at = 0;  // of its value, or of the place where it says where that lies
};

class Tiff {
 public:
  // Precondition: is_tiff().
  explicit Tiff(std::span<const std::uint8_t> bytes) : bytes_(bytes), big_(bytes[0] == 'M') {}

  static bool is_tiff(std::span<const std::uint8_t> bytes) {
    return bytes.size() >= kHeaderBytes && bytes[0] == bytes[1] &&
           (bytes[0] == 'I' || bytes[0] == 'M') && Tiff(bytes).number(2, 2) == 42;
  }

  bool is_big_endian() const { return big_; }

  // 0 beyond the end.
  std::uint32_t number(std::size_t at, std::size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::uint32_t byte = bytes_[at + i];
      value = big_ ? value << 8 | byte : value | byte << (8 * i);
    }
    return value;
  }

  std::size_t first_directory() const { return number(4, 4); }

  std::optional<Entry> find(std::size_t directory, std::uint32_t tag) const {
    const std::size_t entries = number(directory, 2);
    for (std::size_t i = 0; i < entries; ++i) {
      const std::size_t entry = directory + 2 + i * kEntryBytes;
      if (number(entry, 2) == tag)
        return Entry{.type = number(entry + 2, 2), .count = number(entry + 4, 4), .at = entry + 8};
    }
    return std::nullopt;
  }

  // The entry's bytes; nothing where they lie beyond the end.
  std::optional<std::span<const std::uint8_t>> bytes_of(const Entry& entry) const {
    const std::size_t at = entry.count <= 4 ? entry.at : number(entry.at, 4);
    if (at > bytes_.size() || entry.count > bytes_.size() - at) return std::nullopt;
    return bytes_.subspan(at, entry.count);
  }

 private:
  std::span<const std::uint8_t> bytes_;
  bool big_;
};

std::span<const std::uint8_t> without_mark(std::span<const std::uint8_t> exif) {
  const bool marked = exif.size() >= kExifMark.size() &&
                      std::equal(kExifMark.begin(), kExifMark.end(), exif.begin());
  return marked ? exif.subspan(kExifMark.size()) : exif;
}

// UTF-8, or Latin-1 where it is not; up to the zero bytes that end it.
std::string text_of_bytes(std::span<const std::uint8_t> bytes) {
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  text.resize(text.find_last_not_of('\0') + 1);
  return utf8_or_latin1(std::move(text));
}

enum class ByteOrder : std::uint8_t { Big, Little };

// By a mark, by where the zero bytes of ASCII lie, else the file's own: writers use either.
ByteOrder order_of(std::span<const std::uint8_t> utf16, ByteOrder otherwise) {
  if (utf16.size() >= 2 && utf16[0] == 0xfe && utf16[1] == 0xff) return ByteOrder::Big;
  if (utf16.size() >= 2 && utf16[0] == 0xff && utf16[1] == 0xfe) return ByteOrder::Little;
  std::array<std::size_t, 2> zeros{};
  for (std::size_t i = 0; i < utf16.size(); ++i) zeros[i % 2] += utf16[i] == 0 ? 1 : 0;
  if (zeros[0] == zeros[1]) return otherwise;
  return zeros[0] > zeros[1] ? ByteOrder::Big : ByteOrder::Little;
}

// Half of a pair becomes U+FFFD.
std::string text_of_utf16(std::span<const std::uint8_t> utf16, ByteOrder order) {
  const auto unit = [&](std::size_t i) {
    const std::uint32_t first = utf16[i];
    const std::uint32_t second = utf16[i + 1];
    return order == ByteOrder::Big ? first << 8 | second : second << 8 | first;
  };
  std::string text;
  for (std::size_t i = 0; i + 2 <= utf16.size(); i += 2) {
    std::uint32_t code = unit(i);
    const bool leads = code >= 0xd800 && code < 0xdc00 && i + 4 <= utf16.size();
    const std::uint32_t next = leads ? unit(i + 2) : 0;
    if (next >= 0xdc00 && next < 0xe000) {
      code = 0x10000 + ((code - 0xd800) << 10 | (next - 0xdc00));
      i += 2;
    } else if (code >= 0xd800 && code < 0xe000) {
      code = 0xfffd;
    }
    const bool is_mark = i == 0 && code == 0xfeff;
    if (!is_mark) append_utf8(text, code);
  }
  text.resize(text.find_last_not_of('\0') + 1);
  return text;
}

// Its first eight bytes name its encoding. Source: EXIF 2.32, table 9.
std::string comment_text(std::span<const std::uint8_t> comment, ByteOrder order) {
  constexpr std::size_t kCodeBytes = 8;
  constexpr std::string_view kUnicode("UNICODE\0", kCodeBytes);
  if (comment.size() < kCodeBytes) return {};
  const std::string_view code(reinterpret_cast<const char*>(comment.data()), kCodeBytes);
  const auto text = comment.subspan(kCodeBytes);
  return code == kUnicode ? text_of_utf16(text, order_of(text, order)) : text_of_bytes(text);
}

}  // namespace

int exif_orientation(std::span<const std::uint8_t> exif) {
  exif = without_mark(exif);
  if (!Tiff::is_tiff(exif)) return kUpright;
  const Tiff tiff(exif);
  const std::optional<Entry> entry = tiff.find(tiff.first_directory(), kOrientationTag);
  if (!entry) return kUpright;
  const std::uint32_t value = tiff.number(entry->at, 2);
  const bool known = entry->type == kShort && value >= 1 && value <= 8;
  return known ? static_cast<int>(value) : kUpright;
}

ImageText texts_of_exif(std::span<const std::uint8_t> exif, const std::string& name) {
  exif = without_mark(exif);
  if (exif.empty()) return {};
  const auto fail = [&name] {
    throw Error(ErrorCode::InvalidFile, name + ": damaged EXIF (its texts cannot be found)");
  };
  if (!Tiff::is_tiff(exif)) fail();
  const Tiff tiff(exif);
  ImageText texts;
  const auto add = [&](const char* keyword, const Entry& entry, const auto& decode) {
    const auto bytes = tiff.bytes_of(entry);
    if (!bytes) fail();
    std::string text = decode(*bytes);
    if (!text.empty()) texts.emplace_back(keyword, std::move(text));
  };
  const std::size_t first = tiff.first_directory();
  if (const auto pointer = tiff.find(first, kDirectoryTag)) {
    const ByteOrder order = tiff.is_big_endian() ? ByteOrder::Big : ByteOrder::Little;
    if (const auto entry = tiff.find(tiff.number(pointer->at, 4), kUserCommentTag))
      add("parameters", *entry, [order](const auto& bytes) { return comment_text(bytes, order); });
  }
  for (const NamedTag& tag : kTextTags) {
    if (const auto entry = tiff.find(first, tag.tag)) add(tag.name, *entry, text_of_bytes);
  }
  return texts;
}

}  // namespace zimage
