// The encoders of each lossy format, and the text that both hold.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "image/image.h"

namespace zimage {

// A TIFF file with the texts as encode_picture() says. Precondition: UTF-8 without zero bytes.
std::vector<std::uint8_t> exif_of(const ImageText& text);

// Precondition: check_encodable() and check_image() pass; quality is 1 to 100.
std::vector<std::uint8_t> encode_jpeg(const Image& image, std::span<const std::uint8_t> exif,
                                      int quality);
std::vector<std::uint8_t> encode_webp(const Image& image, std::span<const std::uint8_t> exif,
                                      int quality);

// Throws InvalidArgument, beginning with `format`, for an image without pixels, or whose `rgb` has
// another size than its extents say.
void check_image(const Image& image, const char* format);
// Throws InvalidArgument for text that is not UTF-8 or holds a zero byte; `name` stands for it.
void check_text(const std::string& text, const std::string& name);

}  // namespace zimage
