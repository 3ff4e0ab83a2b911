// Chooses the decoder by a file's first bytes; flattens and turns what it gives.
#include "image/decode.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "image/samples.h"

namespace zimage {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

bool has_at(std::span<const std::uint8_t> bytes, std::size_t at, std::string_view text) {
  return bytes.size() >= at + text.size() &&
         std::equal(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

// For people: formats that are likely to be met, and that this program does not read.
std::string_view other_format(std::span<const std::uint8_t> bytes) {
  struct Sign {
    std::size_t at;
    std::string_view text;
    std::string_view format;
  };
  constexpr std::array kSigns = {Sign{0, "GIF8", "a GIF picture"},
                                 Sign{0, "BM", "a BMP picture"},
                                 Sign{0, std::string_view("II*\0", 4), "a TIFF picture"},
                                 Sign{0, std::string_view("MM\0*", 4), "a TIFF picture"},
                                 Sign{4, "ftypavif", "an AVIF picture"},
                                 Sign{4, "ftyphei", "a HEIC picture"},
                                 Sign{4, "ftypmif1", "a HEIC picture"},
                                 Sign{0, "\xff\x0a", "a JPEG XL picture"},
                                 Sign{4, "JXL ", "a JPEG XL picture"},
                                 Sign{0, "%PDF", "a PDF document"},
                                 Sign{0, "<svg", "an SVG drawing"}};
  for (const Sign& sign : kSigns) {
    if (has_at(bytes, sign.at, sign.text)) return sign.format;
  }
  return bytes.empty() ? "an empty file" : "no picture of a known format";
}

Samples decode_samples(const PictureFile& file) {
  switch (format_of_bytes(file.bytes, file.name)) {
    case PictureFormat::Png: return decode_png_samples(file);
    case PictureFormat::Jpeg: return decode_jpeg_samples(file);
    case PictureFormat::Webp: return decode_webp_samples(file);
  }
  return {};
}

// RGBA to RGB, in place.
void flatten(Samples& samples, const Background& background) {
  if (samples.channels == 3) return;
  std::uint8_t* out = samples.values.data();
  for (std::size_t i = 0; i + 4 <= samples.values.size(); i += 4) {
    const unsigned alpha = samples.values[i + 3];
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const unsigned sum =
          samples.values[i + channel] * alpha + background[channel] * (255 - alpha);
      *out++ = static_cast<std::uint8_t>((sum + 127) / 255);
    }
  }
  samples.values.resize(samples.values.size() / 4 * 3);
  samples.channels = 3;
}

// RGB as it lies in the file to RGB as it is seen. Source: EXIF 2.32, tag 274: 2 is mirrored, 3
// turned by half, 4 both, 5 to 8 the same with rows and columns exchanged.
Image upright(Samples samples) {
  const std::int64_t width = samples.width;
  const std::int64_t height = samples.height;
  if (samples.orientation == kUpright)
    return {.width = width, .height = height, .rgb = std::move(samples.values)};
  const bool exchanged = samples.orientation >= 5;
  const bool mirrors_x = samples.orientation == 2 || samples.orientation == 3 ||
                         samples.orientation == 7 || samples.orientation == 8;
  const bool mirrors_y = samples.orientation == 3 || samples.orientation == 4 ||
                         samples.orientation == 6 || samples.orientation == 7;
  Image image{.width = exchanged ? height : width,
              .height = exchanged ? width : height,
              .rgb = std::vector<std::uint8_t>(samples.values.size())};
  std::uint8_t* out = image.rgb.data();
  for (std::int64_t row = 0; row < image.height; ++row) {
    for (std::int64_t column = 0; column < image.width; ++column) {
      std::int64_t x = exchanged ? row : column;
      std::int64_t y = exchanged ? column : row;
      if (mirrors_x) x = width - 1 - x;
      if (mirrors_y) y = height - 1 - y;
      out = std::copy_n(samples.values.data() + (y * width + x) * 3, 3, out);
    }
  }
  return image;
}

}  // namespace

PictureFormat format_of_bytes(std::span<const std::uint8_t> bytes, const std::string& name) {
  if (has_at(bytes, 0, "\x89PNG\r\n\x1a\n")) return PictureFormat::Png;
  if (has_at(bytes, 0, "\xff\xd8\xff")) return PictureFormat::Jpeg;
  if (has_at(bytes, 0, "RIFF") && has_at(bytes, 8, "WEBP")) return PictureFormat::Webp;
  throw Error(ErrorCode::InvalidFile,
              name + ": " + std::string(other_format(bytes)) + ", expected PNG, JPEG or WebP");
}

void check_picture_size(const PictureFile& file, std::int64_t width, std::int64_t height) {
  const bool possible = width > 0 && height > 0 && width <= kMaxPictureSide &&
                        height <= kMaxPictureSide &&
                        static_cast<std::uint64_t>(width * height) <= file.most_pixels;
  if (possible) return;
  throw Error(ErrorCode::InvalidFile, file.name + ": " + std::to_string(width) + "x" +
                                          std::to_string(height) + " pixels, expected up to " +
                                          std::to_string(file.most_pixels) + " and sides of 1 to " +
                                          std::to_string(kMaxPictureSide));
}

Image decode_picture(std::span<const std::uint8_t> bytes, const std::string& name,
                     const Background& background, std::uint64_t most_pixels) {
  Samples samples = decode_samples({.bytes = bytes, .name = name, .most_pixels = most_pixels});
  flatten(samples, background);
  return upright(std::move(samples));
}

Image read_picture(const std::filesystem::path& file, const Background& background) {
  const std::string bytes = read_file(file, kMaxFileBytes);
  return decode_picture({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                        file.string(), background);
}

}  // namespace zimage
