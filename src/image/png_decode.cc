// The bytes of a PNG file -> pixels and text.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/utf8.h"
#include "image/image.h"
#include "image/png_session.h"

namespace zimage {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;
// Above the largest picture that the transformer's positions allow (8192), far below what
// overflows.
constexpr png_uint_32 kMaxSide = 65535;
// Deflate makes at most 1032 bytes out of one, so a file that promises more pixels cannot keep it.
constexpr std::uint64_t kMaxExpansion = 1032;

struct Source {
  std::span<const std::uint8_t> bytes;
  std::size_t at = 0;
};

void read_from_source(png_structp png, png_bytep data, std::size_t size) {
  auto* source = static_cast<Source*>(png_get_io_ptr(png));
  if (size > source->bytes.size() - source->at) png_error(png, "the file ends too early");
  std::memcpy(data, source->bytes.data() + source->at, size);
  source->at += size;
}

std::string from_latin1(std::string_view latin1) {
  std::string text;
  for (const char byte : latin1) append_utf8(text, static_cast<std::uint8_t>(byte));
  return text;
}

class Reader {
 public:
  Reader(std::span<const std::uint8_t> bytes, const std::string& name) : name_(name) {
    source_.bytes = bytes;
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &message_, keep_png_error,
                                  ignore_png_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw Error(ErrorCode::OutOfMemory, name_ + ": no memory for the PNG decoder");
    }
  }
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  DecodedPng decode() {
    if (source_.bytes.size() < 8 || png_sig_cmp(source_.bytes.data(), 0, 8) != 0) {
      fail("not a PNG file");
    }
    run([this] { read_header(); });
    DecodedPng result;
    result.image = allocate();
    std::vector<png_bytep> rows;
    rows.reserve(static_cast<std::size_t>(result.image.height));
    const std::size_t stride = static_cast<std::size_t>(result.image.width) * 3;
    for (std::size_t y = 0; y < static_cast<std::size_t>(result.image.height); ++y) {
      rows.push_back(result.image.rgb.data() + y * stride);
    }
    run([this, &rows] {
      png_read_image(png_, rows.data());
      png_read_end(png_, info_);
    });
    result.text = text();
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(ErrorCode::InvalidFile, name_ + ": " + reason);
  }

  template <typename Body>
  void run(const Body& body) {
    if (!run_png(png_, body)) fail(std::string("damaged PNG (") + message_.text.data() + ")");
  }

  // Up to the first pixel, with the conversions to 8-bit RGB chosen.
  void read_header() {
    png_set_read_fn(png_, &source_, read_from_source);
    png_set_user_limits(png_, kMaxSide, kMaxSide);
    png_read_info(png_, info_);
    stored_bytes_ =
        std::uint64_t{png_get_rowbytes(png_, info_)} * png_get_image_height(png_, info_);
    png_set_expand(png_);
    png_set_scale_16(png_);
    png_set_strip_alpha(png_);
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    row_bytes_ = png_get_rowbytes(png_, info_);
  }

  // An image of the header's size, which the size of the file must make possible.
  Image allocate() const {
    Image image;
    image.width = png_get_image_width(png_, info_);
    image.height = png_get_image_height(png_, info_);
    const std::string size = std::to_string(image.width) + "x" + std::to_string(image.height);
    if (stored_bytes_ > kMaxExpansion * source_.bytes.size()) {
      fail("damaged PNG (" + size + " pixels cannot be in " + std::to_string(source_.bytes.size()) +
           " bytes)");
    }
    if (row_bytes_ != static_cast<std::size_t>(image.width) * 3)
      fail("not convertible to 8-bit RGB");
    image.rgb.resize(row_bytes_ * static_cast<std::size_t>(image.height));
    return image;
  }

  ImageText text() const {
    ImageText result;
    png_textp chunks = nullptr;
    int count = 0;
    png_get_text(png_, info_, &chunks, &count);
    for (const png_text& chunk : std::span(chunks, static_cast<std::size_t>(std::max(count, 0)))) {
      const bool international = chunk.compression >= PNG_ITXT_COMPRESSION_NONE;
      const std::string_view bytes(chunk.text,
                                   international ? chunk.itxt_length : chunk.text_length);
      // Writers exist that put Latin-1 into iTXt: such text is read as what it is.
      const bool utf8 = international && !find_invalid_utf8(bytes);
      result.emplace_back(from_latin1(chunk.key), utf8 ? std::string(bytes) : from_latin1(bytes));
    }
    return result;
  }

  const std::string& name_;
  PngMessage message_;
  Source source_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::uint64_t stored_bytes_ = 0;  // of the pixels, as the file holds them after inflation
  std::size_t row_bytes_ = 0;       // of a converted row
};

}  // namespace

DecodedPng decode_png(const std::filesystem::path& file) {
  const std::string bytes = read_file(file, kMaxFileBytes);
  return decode_png({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                    file.string());
}

DecodedPng decode_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  return Reader(bytes, name).decode();
}

}  // namespace zimage
