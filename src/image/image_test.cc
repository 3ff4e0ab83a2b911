#include "image/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"

namespace zimage {
namespace {

using ::testing::HasSubstr;

Image gradient(std::int64_t width, std::int64_t height) {
  Image image{.width = width, .height = height, .rgb = {}};
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      image.rgb.push_back(static_cast<std::uint8_t>(x * 7));
      image.rgb.push_back(static_cast<std::uint8_t>(y * 5));
      image.rgb.push_back(static_cast<std::uint8_t>((x * y) ^ 0x5a));
    }
  }
  return image;
}

// The types of a PNG's chunks, in order: "IHDR tEXt IDAT IEND".
std::string chunk_types(const std::vector<std::uint8_t>& png) {
  std::string types;
  for (std::size_t at = 8; at + 8 <= png.size();) {
    std::size_t size = 0;
    for (std::size_t i = at; i < at + 4; ++i) size = size << 8 | png[i];
    types +=
        (types.empty() ? "" : " ") + std::string(png.begin() + static_cast<std::ptrdiff_t>(at) + 4,
                                                 png.begin() + static_cast<std::ptrdiff_t>(at) + 8);
    at += size + 12;
  }
  return types;
}

std::string error_of(const std::vector<std::uint8_t>& png) {
  try {
    decode_png(png, "test.png");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
    return error.what();
  }
  return "";
}

std::string encode_error(const Image& image, const ImageText& text) {
  try {
    encode_png(image, text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return error.what();
  }
  return "";
}

TEST(Png, GivesBackPixelsOfAwkwardSizes) {
  for (const auto& [width, height] : {std::pair{1, 1}, {3, 2}, {257, 3}, {1, 300}}) {
    const Image image = gradient(width, height);
    const DecodedPng back = decode_png(encode_png(image, {}), "test.png");
    EXPECT_EQ(back.image.width, width);
    EXPECT_EQ(back.image.height, height);
    EXPECT_EQ(back.image.rgb, image.rgb);
    EXPECT_TRUE(back.text.empty());
  }
}

TEST(Png, GivesBackTextOfEveryScriptInOrder) {
  const ImageText text = {
      {"parameters", "a caf\xc3\xa9, second line\nSteps: 8"},
      {"zimage", "{\"prompt\": \"\xe4\xb8\x80\xe5\x8f\xaa\xe7\x8c\xab \xf0\x9f\x90\x88\"}"},
      {"empty", ""},
      {"control", "escape \x1b[2J stays text"},
      {"c1", "next line \xc2\x85 is no Latin-1 text"},
  };
  EXPECT_EQ(decode_png(encode_png(gradient(4, 4), text), "test.png").text, text);
}

// Readers of A1111's text look for tEXt first; PNG allows there only printable Latin-1.
TEST(Png, ChoosesTheChunkByTheText) {
  const auto types = [](const std::string& text) {
    return chunk_types(encode_png(gradient(2, 2), {{"parameters", text}}));
  };
  EXPECT_EQ(types("plain"), "IHDR tEXt IDAT IEND");
  EXPECT_EQ(types("caf\xc3\xa9\nSteps: 8"), "IHDR tEXt IDAT IEND");
  EXPECT_EQ(types("\xe7\x8c\xab"), "IHDR iTXt IDAT IEND");
  EXPECT_EQ(types("\xc2\x85"), "IHDR iTXt IDAT IEND");
}

TEST(Png, WritesLatin1NotUtf8IntoText) {
  const std::vector<std::uint8_t> png = encode_png(gradient(2, 2), {{"parameters", "caf\xc3\xa9"}});
  const std::string_view expected("parameters\0caf\xe9", 15);
  EXPECT_NE(std::search(png.begin(), png.end(), expected.begin(), expected.end(),
                        [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); }),
            png.end());
}

TEST(Png, RefusesWhatItCannotStore) {
  const Image image = gradient(2, 2);
  EXPECT_THAT(encode_error(image, {{"parameters", "bad \xff"}}), HasSubstr("not UTF-8 at byte 4"));
  EXPECT_THAT(encode_error(image, {{"parameters", std::string("a\0b", 3)}}),
              HasSubstr("zero byte"));
  EXPECT_THAT(encode_error(image, {{"", "text"}}), HasSubstr("1 to 79"));
  EXPECT_THAT(encode_error(image, {{std::string(80, 'k'), "text"}}), HasSubstr("1 to 79"));
  EXPECT_THAT(encode_error(image, {{"\n", "text"}}), HasSubstr("keyword"));
  EXPECT_THAT(encode_error({.width = 0, .height = 5, .rgb = {}}, {}), HasSubstr("0x5"));
  EXPECT_THAT(encode_error({.width = -1, .height = 5, .rgb = {}}, {}), HasSubstr("-1x5"));
  EXPECT_THAT(encode_error({.width = 2, .height = 2, .rgb = std::vector<std::uint8_t>(11)}, {}),
              HasSubstr("11 bytes, expected 12"));
  EXPECT_THAT(encode_error({.width = std::int64_t{1} << 40, .height = 1, .rgb = {}}, {}),
              HasSubstr("1099511627776x1"));
}

TEST(Png, RefusesEveryTruncation) {
  const std::vector<std::uint8_t> png =
      encode_png(gradient(40, 30), {{"parameters", "text"}, {"zimage", "\xe7\x8c\xab"}});
  for (std::size_t size = 0; size < png.size(); ++size) {
    const std::vector<std::uint8_t> part(png.begin(),
                                         png.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_THAT(error_of(part), HasSubstr("test.png: ")) << size;
  }
  EXPECT_EQ(error_of(png), "");
}

TEST(Png, SurvivesEveryChangedByte) {
  const Image image = gradient(9, 7);
  const std::vector<std::uint8_t> png = encode_png(image, {{"parameters", "text"}});
  for (std::size_t at = 0; at < png.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xff}) {
      std::vector<std::uint8_t> damaged = png;
      damaged[at] = static_cast<std::uint8_t>(damaged[at] ^ change);
      try {
        // Chunks carry checksums: what still opens has lost at most an ancillary chunk.
        EXPECT_EQ(decode_png(damaged, "test.png").image.rgb, image.rgb);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
      }
    }
  }
}

TEST(Png, RefusesASizeThatTheFileCannotHold) {
  // A whole header, with a right checksum, for 65535x65535 pixels, and nothing behind it.
  const std::vector<std::uint8_t> bomb = {
      0x89, 'P',  'N',  'G',  '\r', '\n', 0x1a, '\n', 0,    0,   0,   13, 'I', 'H', 'D',
      'R',  0,    0,    0xff, 0xff, 0,    0,    0xff, 0xff, 8,   2,   0,  0,   0,   0x39,
      0x67, 0x4e, 0x07, 0,    0,    0,    4,    'I',  'D',  'A', 'T', 1,  2,   3,   4};
  EXPECT_THAT(error_of(bomb), HasSubstr("65535x65535 pixels cannot be in"));
}

// A PNG of another kind, written by libpng's simplified interface.
std::vector<std::uint8_t> png_of_format(png_uint_32 format,
                                        const std::vector<std::uint8_t>& samples,
                                        const std::vector<std::uint8_t>& palette) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = 2;
  image.height = 2;
  image.format = format;
  image.colormap_entries = static_cast<png_uint_32>(palette.size() / 3);
  std::vector<std::uint8_t> bytes(4096);
  png_alloc_size_t size = bytes.size();
  const void* colors = palette.empty() ? nullptr : palette.data();
  EXPECT_NE(png_image_write_to_memory(&image, bytes.data(), &size, 0, samples.data(), 0, colors),
            0);
  bytes.resize(size);
  return bytes;
}

TEST(Png, ConvertsOtherKindsTo8BitRgb) {
  const std::vector<std::uint8_t> expected = {10, 20, 30, 200, 100, 50, 1, 2, 3, 10, 20, 30};
  const auto rgb = [](const std::vector<std::uint8_t>& png) {
    return decode_png(png, "test.png").image.rgb;
  };
  EXPECT_EQ(rgb(png_of_format(PNG_FORMAT_RGB_COLORMAP, {0, 1, 2, 0},
                              {10, 20, 30, 200, 100, 50, 1, 2, 3})),
            expected);
  EXPECT_EQ(rgb(png_of_format(PNG_FORMAT_RGBA,
                              {10, 20, 30, 0, 200, 100, 50, 255, 1, 2, 3, 128, 10, 20, 30, 7}, {})),
            expected);
  EXPECT_EQ(rgb(png_of_format(PNG_FORMAT_GRAY, {0, 255, 7, 128}, {})),
            (std::vector<std::uint8_t>{0, 0, 0, 255, 255, 255, 7, 7, 7, 128, 128, 128}));
}

TEST(Png, SaysWhatIsNoPng) {
  EXPECT_EQ(error_of({'G', 'I', 'F', '8', '9', 'a', 0, 0, 0}), "test.png: not a PNG file");
  EXPECT_EQ(error_of({}), "test.png: not a PNG file");
  try {
    decode_png("/nonexistent/picture.png");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::NotFound);
  }
}

TEST(Png, ReadsFromAFile) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "zimage_image_test.png";
  const Image image = gradient(12, 9);
  const std::vector<std::uint8_t> png = encode_png(image, {{"k", "v"}});
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
  const DecodedPng back = decode_png(path);
  EXPECT_EQ(back.image.rgb, image.rgb);
  EXPECT_EQ(back.text, (ImageText{{"k", "v"}}));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace zimage
