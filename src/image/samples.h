// A decoded file before it is flattened and turned, and the decoders of each format.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

// Each throws InvalidFile. `bytes` begin as a file of the format does.
Samples decode_png_samples(std::span<const std::uint8_t> bytes, const std::string& name);
Samples decode_jpeg_samples(std::span<const std::uint8_t> bytes, const std::string& name);
Samples decode_webp_samples(std::span<const std::uint8_t> bytes, const std::string& name);

// Throws InvalidFile for a picture of more pixels than decode.h allows, or of none.
void check_picture_size(std::int64_t width, std::int64_t height, const std::string& name);

// The orientation in an EXIF block (a TIFF file, or one behind "Exif\0\0"); kUpright where it has
// none or is damaged.
int exif_orientation(std::span<const std::uint8_t> exif);

}  // namespace zimage
