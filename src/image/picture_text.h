// How a picture says that it was made: the bytes of a PNG, JPEG or WebP file -> its texts. Pixels
// are not decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "image/image.h"

namespace zimage {

// The most bytes that the texts of one file may have, unpacked: more are refused.
inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 25;

// The file's texts as UTF-8, in its order. Of a PNG the chunks tEXt, zTXt and iTXt, by their
// keywords. Of EXIF, which is all that JPEG and WebP have and what a PNG may have beside them:
// UserComment as "parameters", the keyword under which the same text lies in a PNG, and
// ImageDescription, Make and Model by their names. Empty where the file has none. `name` stands for
// it in messages. Throws InvalidFile for another format, for texts that are damaged or too long,
// and for a file that ends before its pictures or texts do.
ImageText read_picture_text(std::span<const std::uint8_t> bytes, const std::string& name);
// The same of a file of up to 1 GiB. Throws NotFound as well.
ImageText read_picture_text(const std::filesystem::path& file);

}  // namespace zimage
