// A decoded file before it is flattened and turned, and the decoders of each format.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "image/encode.h"

namespace zimage {

// The eight ways in which EXIF says that a picture lies; 1 is upright.
inline constexpr int kUpright = 1;

struct Samples {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t channels = 3;         // RGB, or RGBA, not premultiplied
  std::vector<std::uint8_t> values;  // height * width * channels
  int orientation = kUpright;        // 1 to 8
};

// A file in memory, and what it may hold.
struct PictureFile {
  std::span<const std::uint8_t> bytes;
  const std::string& name;  // in messages
  std::uint64_t most_pixels = 0;
};

// Each throws InvalidFile. The file begins as one of the format does.
Samples decode_png_samples(const PictureFile& file);
Samples decode_jpeg_samples(const PictureFile& file);
Samples decode_webp_samples(const PictureFile& file);

// Throws InvalidFile for a picture of more pixels than the file may hold, of none, and for a side
// that is longer than decode.h allows.
void check_picture_size(const PictureFile& file, std::int64_t width, std::int64_t height);

// By the first bytes. Throws InvalidFile, naming what the file is where that is known.
PictureFormat format_of_bytes(std::span<const std::uint8_t> bytes, const std::string& name);

// The EXIF block of a file of that format; empty where it has none, nothing where the file is
// damaged before it.
using ExifBlock = std::optional<std::span<const std::uint8_t>>;
ExifBlock exif_in_jpeg(std::span<const std::uint8_t> bytes);
ExifBlock exif_in_webp(std::span<const std::uint8_t> bytes);

// As read_picture_text() says of each. Throw InvalidFile.
ImageText texts_of_exif(std::span<const std::uint8_t> exif, const std::string& name);
ImageText texts_of_png(std::span<const std::uint8_t> file, const std::string& name);

// The orientation in an EXIF block (a TIFF file, or one behind "Exif\0\0"); kUpright where it has
// none or is damaged.
int exif_orientation(std::span<const std::uint8_t> exif);

}  // namespace zimage
