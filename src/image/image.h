// Pixels, and PNG files that carry how they were made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace zimage {

// 8-bit RGB, rows first, owning.
struct Image {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> rgb;  // height * width * 3

  bool empty() const { return rgb.empty(); }
};

// Text chunks: keyword and UTF-8 text, in order. The keyword is Latin-1, 1 to 79 characters.
using ImageText = std::vector<std::pair<std::string, std::string>>;

// Encodes 8-bit RGB. Text is written as tEXt where it is Latin-1 and as iTXt otherwise (what
// A1111's readers expect). Throws InvalidArgument for an image without pixels, or whose `rgb` has
// another size than its extents say, a keyword that PNG does not allow, and text that is not UTF-8
// or holds a zero byte.
std::vector<std::uint8_t> encode_png(const Image& image, const ImageText& text);

// What a PNG holds: pixels as 8-bit RGB (palettes, grey and 16-bit samples are converted,
// transparency is dropped) and its text chunks as UTF-8.
struct DecodedPng {
  Image image;
  ImageText text;
};
// Throws NotFound, or InvalidFile with the reason: a picture is whole or it is refused.
DecodedPng decode_png(const std::filesystem::path& file);
// The same from the file's bytes; `name` stands for it in messages.
DecodedPng decode_png(std::span<const std::uint8_t> bytes, const std::string& name);

}  // namespace zimage
