// Pixels and text -> the bytes of a picture file.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "image/image.h"

namespace zimage {

enum class PictureFormat : std::uint8_t { Png, Jpeg, Webp };

// "png", "jpeg", "webp".
std::string_view name_of(PictureFormat format);
// What a file's name ends with, without its dot, in any case: "png", "jpg" or "jpeg", "webp".
std::optional<PictureFormat> format_of_extension(std::string_view extension);
// The one that new names get: "png", "jpg", "webp".
std::string_view extension_of(PictureFormat format);

inline constexpr int kMaxQuality = 100;

struct EncodeOptions {
  PictureFormat format = PictureFormat::Png;
  int quality =
      90;  // 1 to kMaxQuality, of JPEG (without subsampling of colour from 90 on) and WebP
};

// PNG keeps every pixel and text as encode_png() does; JPEG and WebP are lossy, and hold text in
// EXIF: "parameters" as UserComment, where A1111's readers look, and all others, which are
// JSON, as ImageDescription, in ASCII by JSON's escapes. Throws what check_encodable() and
// encode_png() throw.
std::vector<std::uint8_t> encode_picture(const Image& image, const ImageText& text,
                                         const EncodeOptions& options);

// Throws InvalidArgument, naming the format, for more pixels along a side (JPEG 65500, WebP 16383)
// or more text (JPEG 65,527 bytes of EXIF, in which UserComment has two bytes a character) than it
// can hold.
void check_encodable(std::int64_t width, std::int64_t height, const ImageText& text,
                     PictureFormat format);

}  // namespace zimage
