// The bytes of a WebP file -> samples, by libwebp.
#include <webp/decode.h>

#include <algorithm>
#include <cstddef>

#include "base/error.h"
#include "image/samples.h"

namespace zimage {
namespace {

constexpr std::span<const std::uint8_t> kNoExif;

[[noreturn]] void fail(const std::string& name, const std::string& reason) {
  throw Error(ErrorCode::InvalidFile, name + ": " + reason);
}

}  // namespace

// Of the container's EXIF chunk. Source: WebP Container Specification, "RIFF file format".
ExifBlock exif_in_webp(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kHeaderBytes = 8;  // of a chunk: its name and its size
  constexpr std::string_view kExif = "EXIF";
  std::size_t at = 12;
  while (at + kHeaderBytes <= bytes.size()) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size |= std::size_t{bytes[at + 4 + i]} << (8 * i);
    const auto rest = bytes.subspan(at + kHeaderBytes);
    if (size > rest.size()) return std::nullopt;
    if (std::equal(kExif.begin(), kExif.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at)))
      return rest.first(size);
    at += kHeaderBytes + size + size % 2;
  }
  return kNoExif;
}

Samples decode_webp_samples(const PictureFile& file) {
  const std::span<const std::uint8_t> bytes = file.bytes;
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) != VP8_STATUS_OK)
    fail(file.name, "damaged WebP (no header that can be read)");
  if (features.has_animation != 0) fail(file.name, "an animated WebP, expected a still picture");
  check_picture_size(file, features.width, features.height);
  const bool alpha = features.has_alpha != 0;
  Samples samples{.width = features.width,
                  .height = features.height,
                  .channels = alpha ? 4 : 3,
                  .values = {},
                  .orientation = exif_orientation(exif_in_webp(bytes).value_or(kNoExif))};
  const std::int64_t stride = samples.width * samples.channels;
  samples.values.resize(static_cast<std::size_t>(stride * samples.height));
  const auto decode = alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (decode(bytes.data(), bytes.size(), samples.values.data(), samples.values.size(),
             static_cast<int>(stride)) == nullptr)
    fail(file.name, "damaged WebP (its pixels end too early or make no sense)");
  return samples;
}

}  // namespace zimage
