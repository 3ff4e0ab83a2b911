// Pixels and EXIF -> the bytes of a JPEG file, by TurboJPEG.
#include <turbojpeg.h>

#include <cstddef>
#include <memory>

#include "base/error.h"
#include "image/encoders.h"

namespace zimage {
namespace {

// From here on colour keeps every pixel.
constexpr int kFineQuality = 90;

}  // namespace

std::vector<std::uint8_t> encode_jpeg(const Image& image, std::span<const std::uint8_t> exif,
                                      int quality) {
  const std::unique_ptr<void, int (*)(tjhandle)> encoder(tjInitCompress(), tjDestroy);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  const bool done = encoder != nullptr &&
                    tjCompress2(encoder.get(), image.rgb.data(), static_cast<int>(image.width), 0,
                                static_cast<int>(image.height), TJPF_RGB, &memory, &size,
                                quality >= kFineQuality ? TJSAMP_444 : TJSAMP_420, quality,
                                TJFLAG_ACCURATEDCT) == 0;
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> owner(memory, tjFree);
  if (!done || size < 2) throw Error(ErrorCode::OutOfMemory, "JPEG: the encoder gave up");
  // The segment goes behind the start of the file. Source: EXIF 2.32, 4.5.4.
  std::vector<std::uint8_t> bytes(memory, memory + 2);
  const std::size_t length = 2 + 6 + exif.size();
  for (const std::size_t byte :
       {std::size_t{0xff}, std::size_t{0xe1}, length >> 8, length & 0xff, std::size_t{'E'},
        std::size_t{'x'}, std::size_t{'i'}, std::size_t{'f'}, std::size_t{0}, std::size_t{0}})
    bytes.push_back(static_cast<std::uint8_t>(byte));
  bytes.insert(bytes.end(), exif.begin(), exif.end());
  bytes.insert(bytes.end(), memory + 2, memory + size);
  return bytes;
}

}  // namespace zimage
