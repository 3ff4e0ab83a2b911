// Pixels, and PNG files that carry how they were made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace zimage {

// 8-bit RGB, rows first, owning.
struct Image {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> rgb;  // height * width * 3
};

// Text chunks: keyword and UTF-8 text, in order. The keyword is Latin-1, 1 to 79 characters.
using ImageText = std::vector<std::pair<std::string, std::string>>;

// The upper left part. Precondition: it is no larger than the image.
Image crop(const Image& image, std::int64_t width, std::int64_t height);

// Encodes 8-bit RGB. Text is written as tEXt where it is Latin-1 and as iTXt otherwise (what A1111's
// readers expect).
std::vector<std::uint8_t> encode_png(const Image& image, const ImageText& text);

// What a PNG holds: pixels as 8-bit RGB and its text chunks. Throws InvalidFile.
struct DecodedPng {
  Image image;
  ImageText text;
};
DecodedPng decode_png(const std::filesystem::path& file);

}  // namespace zimage
