// Pixels and EXIF -> the bytes of a WebP file, by libwebp. Source of the container: WebP Container
// Specification, "Extended file format".
#include <webp/encode.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "image/encoders.h"

namespace zimage {
namespace {

constexpr std::size_t kFileHeader = 12;  // "RIFF", a size, "WEBP"
constexpr std::uint32_t kHasExif = 0x08;

void put(std::vector<std::uint8_t>& bytes, std::size_t value, int size) {
  for (int i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> 8 * i));
}

void put_text(std::vector<std::uint8_t>& bytes, std::string_view text) {
  for (const char letter : text) bytes.push_back(static_cast<std::uint8_t>(letter));
}

}  // namespace

std::vector<std::uint8_t> encode_webp(const Image& image, std::span<const std::uint8_t> exif,
                                      int quality) {
  std::uint8_t* memory = nullptr;
  const std::size_t size =
      WebPEncodeRGB(image.rgb.data(), static_cast<int>(image.width), static_cast<int>(image.height),
                    static_cast<int>(image.width * 3), static_cast<float>(quality), &memory);
  const std::unique_ptr<std::uint8_t, void (*)(void*)> owner(memory, WebPFree);
  if (size <= kFileHeader) throw Error(ErrorCode::OutOfMemory, "WebP: the encoder gave up");
  std::vector<std::uint8_t> chunks;
  put_text(chunks, "WEBPVP8X");
  put(chunks, 10, 4);
  put(chunks, kHasExif, 4);
  put(chunks, static_cast<std::size_t>(image.width - 1), 3);
  put(chunks, static_cast<std::size_t>(image.height - 1), 3);
  chunks.insert(chunks.end(), memory + kFileHeader, memory + size);
  put_text(chunks, "EXIF");
  put(chunks, exif.size(), 4);
  chunks.insert(chunks.end(), exif.begin(), exif.end());
  if (exif.size() % 2 == 1) chunks.push_back(0);
  std::vector<std::uint8_t> bytes;
  put_text(bytes, "RIFF");
  put(bytes, chunks.size(), 4);
  bytes.insert(bytes.end(), chunks.begin(), chunks.end());
  return bytes;
}

}  // namespace zimage
