// Pictures from outside: the bytes of a PNG, JPEG or WebP file -> upright 8-bit RGB.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "image/image.h"

namespace zimage {

// What shows through where a picture is transparent.
using Background = std::array<std::uint8_t, 3>;
inline constexpr Background kWhite = {255, 255, 255};
inline constexpr Background kBlack = {0, 0, 0};

// The most pixels of a picture, where a caller says nothing else, and of a side: more are refused
// before memory is taken for them.
inline constexpr std::uint64_t kMaxPicturePixels = std::uint64_t{1} << 27;
inline constexpr std::uint32_t kMaxPictureSide = 65535;

// Grey, palettes and 16-bit samples become 8-bit RGB, CMYK is multiplied out without a profile,
// transparency is laid on `background`, and the picture is turned as its EXIF orientation says.
// Colour profiles are not applied. `name` stands for the file in messages. Throws InvalidFile, in
// one sentence, for another format, an animation, a size beyond the limits and for damage: a
// picture is whole or it is refused.
Image decode_picture(std::span<const std::uint8_t> bytes, const std::string& name,
                     const Background& background, std::uint64_t most_pixels = kMaxPicturePixels);
// The same of a file of up to 1 GiB. Throws NotFound as well.
Image read_picture(const std::filesystem::path& file, const Background& background);

}  // namespace zimage
