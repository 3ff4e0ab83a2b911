// The bytes of a JPEG file -> samples, by TurboJPEG.
#include <turbojpeg.h>

#include <algorithm>
#include <cstddef>
#include <memory>

#include "base/error.h"
#include "image/samples.h"

namespace zimage {
namespace {

constexpr std::uint8_t kMarker = 0xff;
constexpr std::uint8_t kStartOfScan = 0xda;
constexpr std::uint8_t kApp1 = 0xe1;
constexpr std::span<const std::uint8_t> kNoExif;

// Inks, stored inverted as every program since Photoshop stores them, to light.
// Source: Pillow JpegImagePlugin ("assume adobe conventions") and Convert.c, cmyk2rgb.
void multiply_inks(Samples& samples) {
  std::vector<std::uint8_t> rgb;
  rgb.reserve(samples.values.size() / 4 * 3);
  for (std::size_t i = 0; i + 4 <= samples.values.size(); i += 4) {
    const unsigned black = samples.values[i + 3];
    for (std::size_t channel = 0; channel < 3; ++channel)
      rgb.push_back(static_cast<std::uint8_t>((samples.values[i + channel] * black + 127) / 255));
  }
  samples.values = std::move(rgb);
  samples.channels = 3;
}

}  // namespace

// Of the first APP1 segment that begins as EXIF does.
ExifBlock exif_in_jpeg(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  std::size_t at = 2;
  while (at + 4 <= bytes.size() && bytes[at] == kMarker) {
    const std::uint8_t marker = bytes[at + 1];
    if (marker == kMarker) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == kStartOfScan) return kNoExif;
    const std::size_t size = std::size_t{bytes[at + 2]} << 8 | bytes[at + 3];
    if (size < 2 || size > bytes.size() - at - 2) break;
    const auto segment = bytes.subspan(at + 4, size - 2);
    if (marker == kApp1 && segment.size() >= kExif.size() &&
        std::equal(kExif.begin(), kExif.end(), segment.begin(),
                   [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }))
      return segment.subspan(kExif.size());
    at += 2 + size;
  }
  return std::nullopt;
}

Samples decode_jpeg_samples(const PictureFile& file) {
  const std::span<const std::uint8_t> bytes = file.bytes;
  const std::unique_ptr<void, int (*)(tjhandle)> decoder(tjInitDecompress(), tjDestroy);
  if (decoder == nullptr)
    throw Error(ErrorCode::OutOfMemory, file.name + ": no memory for the JPEG decoder");
  const auto fail = [&] {
    throw Error(ErrorCode::InvalidFile,
                file.name + ": damaged JPEG (" + tjGetErrorStr2(decoder.get()) + ")");
  };
  const auto size = static_cast<unsigned long>(bytes.size());
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colorspace = 0;
  if (tjDecompressHeader3(decoder.get(), bytes.data(), size, &width, &height, &subsampling,
                          &colorspace) != 0)
    fail();
  check_picture_size(file, width, height);
  const bool inks = colorspace == TJCS_CMYK || colorspace == TJCS_YCCK;
  Samples samples{.width = width,
                  .height = height,
                  .channels = inks ? 4 : 3,
                  .values = {},
                  .orientation = exif_orientation(exif_in_jpeg(bytes).value_or(kNoExif))};
  samples.values.resize(
      static_cast<std::size_t>(samples.width * samples.height * samples.channels));
  if (tjDecompress2(decoder.get(), bytes.data(), size, samples.values.data(), width, 0, height,
                    inks ? TJPF_CMYK : TJPF_RGB,
                    TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS) != 0)
    fail();
  if (inks) multiply_inks(samples);
  return samples;
}

}  // namespace zimage
