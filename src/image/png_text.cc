// The text chunks of a PNG file, found without its pixels. Source: PNG 1.2, 3 and 4.2.3.
#include <zlib.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "image/picture_text.h"
#include "image/samples.h"

namespace zimage {
namespace {

constexpr std::size_t kSignatureBytes = 8;
constexpr std::size_t kMaxKeyword = 79;

// Bytes whose reading cannot leave them.
class Bytes {
 public:
  Bytes(std::span<const std::uint8_t> bytes, const std::string& name)
      : bytes_(bytes), name_(name) {}

  std::size_t left() const { return bytes_.size(); }
  std::span<const std::uint8_t> take(std::size_t size) {
    if (size > bytes_.size()) fail("it ends inside a chunk");
    const auto part = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return part;
  }
  std::uint32_t take_number() {
    std::uint32_t value = 0;
    for (const std::uint8_t byte : take(4)) value = value << 8 | byte;
    return value;
  }
  // What stands before the next zero byte, which is passed too.
  std::string_view take_word() {
    const auto end = std::find(bytes_.begin(), bytes_.end(), std::uint8_t{0});
    if (end == bytes_.end()) fail("a text without a keyword");
    const auto word = take(static_cast<std::size_t>(end - bytes_.begin()));
    take(1);
    return {reinterpret_cast<const char*>(word.data()), word.size()};
  }
  std::span<const std::uint8_t> rest() { return take(left()); }

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(ErrorCode::InvalidFile, name_ + ": damaged PNG (" + reason + ")");
  }

 private:
  std::span<const std::uint8_t> bytes_;
  const std::string& name_;
};

std::string text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Unpacks zlib's format up to `limit` bytes; nothing where it is damaged or longer.
std::optional<std::string> unpacked(std::span<const std::uint8_t> packed, std::size_t limit) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return std::nullopt;
  std::string text;
  std::array<char, 16384> piece{};
  // zlib's interface has no const; it does not write to its input.
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  int state = Z_OK;
  while (state == Z_OK && text.size() <= limit) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    state = inflate(&stream, Z_NO_FLUSH);
    text.append(piece.data(), piece.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END || text.size() > limit) return std::nullopt;
  return text;
}

class TextReader {
 public:
  explicit TextReader(const std::string& name) : name_(name) {}

  ImageText texts;

  void add(std::string_view type, std::span<const std::uint8_t> data) {
    Bytes bytes(data, name_);
    // By its bytes: iTXt is UTF-8 and the others Latin-1, and writers exist that mix them up.
    const std::string keyword = utf8_or_latin1(std::string(bytes.take_word()));
    if (keyword.empty() || keyword.size() > 2 * kMaxKeyword) bytes.fail("a text's keyword");
    bool packed = type == "zTXt";
    if (type == "iTXt") {
      packed = bytes.take(1).front() != 0;
      bytes.take(1);  // the method, of which there is one
      bytes.take_word();
      bytes.take_word();
    }
    if (type == "zTXt") bytes.take(1);
    put(bytes, keyword, packed);
  }

 private:
  void put(Bytes& bytes, const std::string& keyword, bool packed) {
    const auto data = bytes.rest();
    const std::size_t limit = kMaxTextBytes - used_;
    const std::optional<std::string> text =
        packed ? unpacked(data, limit) : std::optional(text_of(data));
    if (!text || text->size() > limit)
      bytes.fail("text " + quote(keyword) + " cannot be unpacked, or is too long");
    used_ += text->size() + keyword.size();
    texts.emplace_back(keyword, utf8_or_latin1(*text));
    if (used_ > kMaxTextBytes) bytes.fail("its texts are too long");
  }

  const std::string& name_;
  std::size_t used_ = 0;
};

bool is_right(std::string_view type, std::span<const std::uint8_t> data, std::uint32_t sum) {
  const auto* letters = reinterpret_cast<const Bytef*>(type.data());
  const uLong first = crc32(crc32(0, nullptr, 0), letters, static_cast<uInt>(type.size()));
  return crc32(first, data.data(), static_cast<uInt>(data.size())) == sum;
}

}  // namespace

ImageText texts_of_png(std::span<const std::uint8_t> file, const std::string& name) {
  Bytes bytes(file, name);
  bytes.take(kSignatureBytes);
  TextReader reader(name);
  ImageText exif;
  for (std::string type; type != "IEND";) {
    const std::uint32_t size = bytes.take_number();
    type = text_of(bytes.take(4));
    const auto data = bytes.take(size);
    const std::uint32_t sum = bytes.take_number();
    const bool is_text = type == "tEXt" || type == "zTXt" || type == "iTXt";
    if (!is_text && type != "eXIf") continue;
    if (!is_right(type, data, sum)) bytes.fail("the sum of a text is wrong");
    if (is_text) {
      reader.add(type, data);
    } else {
      exif = texts_of_exif(data, name);
    }
  }
  for (auto& text : exif) reader.texts.push_back(std::move(text));
  return std::move(reader.texts);
}

}  // namespace zimage
