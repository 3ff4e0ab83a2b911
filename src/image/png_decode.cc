// The bytes of a PNG file -> pixels and text.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/utf8.h"
#include "image/decode.h"
#include "image/image.h"
#include "image/png_session.h"
#include "image/samples.h"

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

std::uint32_t big_endian(std::span<const std::uint8_t> bytes) {
  std::uint32_t value = 0;
  for (const std::uint8_t byte : bytes.first(4)) value = value << 8 | byte;
  return value;
}

// Whether there is an acTL chunk, which comes before the first pixel; libpng passes over it.
// Source: PNG Specification (Third Edition), "acTL Animation Control Chunk".
bool is_animated(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kSignatureBytes = 8;
  constexpr std::size_t kChunkBytes = 12;  // its size, its name and its sum
  std::span<const std::uint8_t> rest = bytes.subspan(std::min(kSignatureBytes, bytes.size()));
  while (rest.size() >= kChunkBytes) {
    const std::string_view name(reinterpret_cast<const char*>(rest.data()) + 4, 4);
    if (name == "acTL") return true;
    const std::size_t size = big_endian(rest);
    if (name == "IDAT" || size > rest.size() - kChunkBytes) return false;
    rest = rest.subspan(kChunkBytes + size);
  }
  return false;
}

std::string from_latin1(std::string_view latin1) {
  std::string text;
  for (const char byte : latin1) append_utf8(text, static_cast<std::uint8_t>(byte));
  return text;
}

class Reader {
 public:
  Reader(std::span<const std::uint8_t> bytes, const std::string& name, std::uint64_t most_pixels)
      : name_(name), most_pixels_(most_pixels) {
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

  // Transparency is dropped.
  DecodedPng decode() {
    Samples samples = read(Alpha::Dropped);
    return {.image = {.width = samples.width,
                      .height = samples.height,
                      .rgb = std::move(samples.values)},
            .text = text()};
  }

  // RGBA where there is any transparency. Refuses an animation.
  Samples decode_samples() {
    if (is_animated(source_.bytes)) fail("an animated PNG, expected a still picture");
    Samples samples = read(Alpha::Kept);
    samples.orientation = orientation();
    return samples;
  }

 private:
  enum class Alpha : std::uint8_t { Dropped, Kept };

  Samples read(Alpha alpha) {
    if (source_.bytes.size() < 8 || png_sig_cmp(source_.bytes.data(), 0, 8) != 0) {
      fail("not a PNG file");
    }
    run([this, alpha] { read_header(alpha); });
    Samples samples = allocate();
    std::vector<png_bytep> rows;
    rows.reserve(static_cast<std::size_t>(samples.height));
    for (std::size_t y = 0; y < static_cast<std::size_t>(samples.height); ++y) {
      rows.push_back(samples.values.data() + y * row_bytes_);
    }
    run([this, &rows] {
      png_read_image(png_, rows.data());
      png_read_end(png_, info_);
    });
    return samples;
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(ErrorCode::InvalidFile, name_ + ": " + reason);
  }

  template <typename Body>
  void run(const Body& body) {
    if (!run_png(png_, body)) fail(std::string("damaged PNG (") + message_.text.data() + ")");
  }

  // Up to the first pixel, with the conversions to 8-bit RGB or RGBA chosen.
  void read_header(Alpha alpha) {
    png_set_read_fn(png_, &source_, read_from_source);
    png_set_user_limits(png_, kMaxSide, kMaxSide);
    png_read_info(png_, info_);
    stored_bytes_ =
        std::uint64_t{png_get_rowbytes(png_, info_)} * png_get_image_height(png_, info_);
    png_set_expand(png_);
    png_set_scale_16(png_);
    const bool transparent = (png_get_color_type(png_, info_) & PNG_COLOR_MASK_ALPHA) != 0 ||
                             png_get_valid(png_, info_, PNG_INFO_tRNS) != 0;
    channels_ = transparent && alpha == Alpha::Kept ? 4 : 3;
    if (channels_ == 3) png_set_strip_alpha(png_);
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    row_bytes_ = png_get_rowbytes(png_, info_);
  }

  // Samples of the header's size, which the size of the file must make possible.
  Samples allocate() const {
    Samples samples{.width = png_get_image_width(png_, info_),
                    .height = png_get_image_height(png_, info_),
                    .channels = channels_,
                    .values = {}};
    const std::string size = std::to_string(samples.width) + "x" + std::to_string(samples.height);
    if (stored_bytes_ > kMaxExpansion * source_.bytes.size()) {
      fail("damaged PNG (" + size + " pixels cannot be in " + std::to_string(source_.bytes.size()) +
           " bytes)");
    }
    check_picture_size({.bytes = source_.bytes, .name = name_, .most_pixels = most_pixels_},
                       samples.width, samples.height);
    if (row_bytes_ != static_cast<std::size_t>(samples.width * samples.channels))
      fail("not convertible to 8-bit RGB");
    samples.values.resize(row_bytes_ * static_cast<std::size_t>(samples.height));
    return samples;
  }

  int orientation() const {
    png_uint_32 size = 0;
    png_bytep exif = nullptr;
    if (png_get_eXIf_1(png_, info_, &size, &exif) == 0) return kUpright;
    return exif_orientation({exif, size});
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
  std::uint64_t most_pixels_;
  PngMessage message_;
  Source source_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::int64_t channels_ = 3;
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
  return Reader(bytes, name, kMaxPicturePixels).decode();
}

Samples decode_png_samples(const PictureFile& file) {
  return Reader(file.bytes, file.name, file.most_pixels).decode_samples();
}

}  // namespace zimage
