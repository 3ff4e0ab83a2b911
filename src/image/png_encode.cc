// Pixels and text -> the bytes of a PNG file.
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "image/encoders.h"
#include "image/image.h"
#include "image/png_session.h"

namespace zimage {
namespace {

// A third of the time of zlib's level 6 with every filter, for files that are 2 % larger (256x256
// pictures of the tiny model: 3.0 ms and 26.9 kB against 8.6 ms and 26.3 kB).
constexpr int kCompressionLevel = 4;
constexpr int kFilters = PNG_FILTER_SUB | PNG_FILTER_UP;

// One text chunk, ready for libpng: Latin-1 for tEXt, UTF-8 for iTXt.
struct TextChunk {
  std::string keyword;
  std::string text;
  int compression = PNG_TEXT_COMPRESSION_NONE;
};

// `text` in Latin-1, or nothing when it holds a character that a tEXt chunk may not, or would read
// as UTF-8 of another text: readers exist that take it for that.
// Source: PNG 1.2, 4.2.3: printable Latin-1 and the newline; a tab is common and harmless.
std::optional<std::string> to_latin1(std::string_view text) {
  std::string latin1;
  bool is_ascii = true;
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    const char32_t code = character.code;
    const bool printable = (code >= 0x20 && code <= 0x7e) || (code >= 0xa0 && code <= 0xff);
    if (!printable && code != U'\n' && code != U'\t') return std::nullopt;
    is_ascii = is_ascii && code < 0x80;
    latin1 += static_cast<char>(static_cast<std::uint8_t>(code));
    text.remove_prefix(character.length);
  }
  if (!is_ascii && !find_invalid_utf8(latin1)) return std::nullopt;
  return latin1;
}

TextChunk make_chunk(const std::string& keyword, const std::string& text) {
  const std::string name = "PNG text " + quote(keyword);
  check_text(text, name);
  if (keyword.empty() || keyword.size() > 79) {
    throw Error(ErrorCode::InvalidArgument, name + ": a keyword has 1 to 79 characters");
  }
  if (auto latin1 = to_latin1(text))
    return {keyword, *std::move(latin1), PNG_TEXT_COMPRESSION_NONE};
  return {keyword, text, PNG_ITXT_COMPRESSION_NONE};
}

// Receives libpng's output. An allocation that fails inside the callback is remembered, and
// reported to libpng outside of the handler, because a longjmp may not leave one.
struct Sink {
  std::vector<std::uint8_t> bytes;
  bool append(png_const_bytep data, std::size_t size) {
    try {
      bytes.insert(bytes.end(), data, data + size);
    } catch (const std::exception&) {
      return false;
    }
    return true;
  }
};

void append_to_sink(png_structp png, png_bytep data, std::size_t size) {
  if (!static_cast<Sink*>(png_get_io_ptr(png))->append(data, size)) png_error(png, "out of memory");
}

class Writer {
 public:
  Writer() {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, &message_, keep_png_error,
                                   ignore_png_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_write_struct(&png_, nullptr);
      throw Error(ErrorCode::OutOfMemory, "PNG: no memory for the encoder");
    }
  }
  ~Writer() { png_destroy_write_struct(&png_, &info_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  std::vector<std::uint8_t> encode(const Image& image, std::vector<TextChunk>& chunks) {
    std::vector<png_text> texts;
    for (TextChunk& chunk : chunks) {
      png_text text{};
      text.compression = chunk.compression;
      text.key = chunk.keyword.data();
      text.text = chunk.text.data();
      text.text_length = chunk.text.size();
      texts.push_back(text);
    }
    Sink sink;
    if (!run_png(png_, [&] { write(image, texts, sink); })) {
      throw Error(ErrorCode::InvalidArgument, std::string("PNG: ") + message_.text.data());
    }
    return std::move(sink.bytes);
  }

 private:
  void write(const Image& image, const std::vector<png_text>& texts, Sink& sink) {
    png_set_write_fn(png_, &sink, append_to_sink, nullptr);
    png_set_IHDR(png_, info_, static_cast<png_uint_32>(image.width),
                 static_cast<png_uint_32>(image.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png_, kCompressionLevel);
    png_set_filter(png_, PNG_FILTER_TYPE_BASE, kFilters);
    png_set_text(png_, info_, texts.data(), static_cast<int>(texts.size()));
    png_write_info(png_, info_);
    const std::size_t stride = static_cast<std::size_t>(image.width) * 3;
    for (std::size_t y = 0; y < static_cast<std::size_t>(image.height); ++y) {
      png_write_row(png_, image.rgb.data() + y * stride);
    }
    png_write_end(png_, nullptr);
  }

  PngMessage message_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

std::vector<std::uint8_t> encode_png(const Image& image, const ImageText& text) {
  check_image(image, "PNG");
  std::vector<TextChunk> chunks;
  for (const auto& [keyword, value] : text) chunks.push_back(make_chunk(keyword, value));
  return Writer().encode(image, chunks);
}

}  // namespace zimage
