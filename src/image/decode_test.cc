// Pictures of every kind, written by the formats' own libraries, and what is wrong with others.
#include "image/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <turbojpeg.h>
#include <webp/encode.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "error_of.h"
#include "image/samples.h"

namespace zimage {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<std::uint8_t>;

Image decoded(const Bytes& bytes, const Background& background = kWhite) {
  return decode_picture(bytes, "test.x", background);
}

std::string refusal_of(const Bytes& bytes) {
  const Error error = error_of([&] { decoded(bytes); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
  return error.what();
}

// Three colours in the corners of a square, of which JPEG keeps enough at this size.
constexpr std::int64_t kSide = 32;
Image corners() {
  Image image{.width = kSide, .height = kSide / 2, .rgb = {}};
  for (std::int64_t y = 0; y < image.height; ++y) {
    for (std::int64_t x = 0; x < image.width; ++x) {
      const bool right = x >= kSide / 2;
      const bool lower = y >= kSide / 4;
      image.rgb.push_back(right ? 0 : 200);
      image.rgb.push_back(lower ? 200 : 0);
      image.rgb.push_back(right && lower ? 200 : 0);
    }
  }
  return image;
}

void expect_near(const Image& found, const Image& expected, int bound) {
  EXPECT_EQ(found.width, expected.width);
  EXPECT_EQ(found.height, expected.height);
  ASSERT_EQ(found.rgb.size(), expected.rgb.size());
  int largest = 0;
  for (std::size_t i = 0; i < found.rgb.size(); ++i)
    largest = std::max(largest, std::abs(int{found.rgb[i]} - int{expected.rgb[i]}));
  EXPECT_LE(largest, bound);
}

Bytes jpeg_of(const Bytes& samples, int width, int height, int format, int subsampling) {
  const std::unique_ptr<void, int (*)(tjhandle)> encoder(tjInitCompress(), tjDestroy);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(tjCompress2(encoder.get(), samples.data(), width, 0, height, format, &memory, &size,
                        subsampling, 98, TJFLAG_ACCURATEDCT),
            0);
  Bytes bytes(memory, memory + size);
  tjFree(memory);
  return bytes;
}
Bytes jpeg_of(const Image& image) {
  return jpeg_of(image.rgb, static_cast<int>(image.width), static_cast<int>(image.height), TJPF_RGB,
                 TJSAMP_444);
}

Bytes webp_of(const Bytes& rgba, int width, int height) {
  std::uint8_t* memory = nullptr;
  const std::size_t size = WebPEncodeLosslessRGBA(rgba.data(), width, height, width * 4, &memory);
  EXPECT_GT(size, 0U);
  Bytes bytes(memory, memory + size);
  WebPFree(memory);
  return bytes;
}
Bytes webp_of(const Image& image) {
  Bytes rgba;
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) {
    rgba.insert(rgba.end(), image.rgb.begin() + static_cast<std::ptrdiff_t>(i),
                image.rgb.begin() + static_cast<std::ptrdiff_t>(i) + 3);
    rgba.push_back(255);
  }
  return webp_of(rgba, static_cast<int>(image.width), static_cast<int>(image.height));
}

// By libpng's simplified interface; 16-bit samples are linear there, so others are written here.
Bytes png_of(png_uint_32 format, const void* samples, int side, const Bytes& palette = {}) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(side);
  image.height = static_cast<png_uint_32>(side);
  image.format = format;
  image.colormap_entries = static_cast<png_uint_32>(palette.size() / 4);
  Bytes bytes(1 << 16);
  png_alloc_size_t size = bytes.size();
  const void* colors = palette.empty() ? nullptr : palette.data();
  EXPECT_NE(png_image_write_to_memory(&image, bytes.data(), &size, 0, samples, 0, colors), 0);
  bytes.resize(size);
  return bytes;
}

// A TIFF directory with the one tag; big-endian for 'M'.
Bytes exif_of(int orientation, char order) {
  const bool big = order == 'M';
  Bytes bytes = {static_cast<std::uint8_t>(order), static_cast<std::uint8_t>(order)};
  const auto put = [&](unsigned value, int size) {
    for (int i = 0; i < size; ++i)
      bytes.push_back(static_cast<std::uint8_t>(value >> 8 * (big ? size - 1 - i : i)));
  };
  put(42, 2);
  put(8, 4);
  put(1, 2);
  put(0x112, 2);
  put(3, 2);
  put(1, 4);
  put(static_cast<unsigned>(orientation), 2);
  put(0, 2);
  put(0, 4);
  return bytes;
}

Bytes with_exif(const Bytes& jpeg, const Bytes& exif) {
  Bytes bytes(jpeg.begin(), jpeg.begin() + 2);
  const std::size_t size = 2 + 6 + exif.size();
  for (const std::size_t byte : {std::size_t{0xff}, std::size_t{0xe1}, size >> 8, size & 0xff})
    bytes.push_back(static_cast<std::uint8_t>(byte));
  for (const char letter : std::string_view("Exif\0\0", 6))
    bytes.push_back(static_cast<std::uint8_t>(letter));
  bytes.insert(bytes.end(), exif.begin(), exif.end());
  bytes.insert(bytes.end(), jpeg.begin() + 2, jpeg.end());
  return bytes;
}

TEST(DecodePicture, ReadsEachFormat) {
  const Image image = corners();
  EXPECT_EQ(decoded(encode_png(image, {{"k", "v"}})).rgb, image.rgb);
  EXPECT_EQ(decoded(webp_of(image)).rgb, image.rgb);
  expect_near(decoded(jpeg_of(image)), image, 24);
}

// Upright, the first pixel in the file is in the corner that the standard's table names.
TEST(DecodePicture, TurnsAsExifSays) {
  const Image image = corners();
  const auto at = [](const Image& picture, std::int64_t x, std::int64_t y) {
    const std::uint8_t* rgb = picture.rgb.data() + (y * picture.width + x) * 3;
    return std::string(rgb[0] > 100 ? "R" : "") + (rgb[1] > 100 ? "G" : "") +
           (rgb[2] > 100 ? "B" : "");
  };
  // Upper left, upper right, lower left, lower right of: R, black, RG, GB.
  const std::vector<std::vector<std::string>> expected = {
      {"R", "", "RG", "GB"}, {"", "R", "GB", "RG"}, {"GB", "RG", "", "R"}, {"RG", "GB", "R", ""},
      {"R", "RG", "", "GB"}, {"RG", "R", "GB", ""}, {"GB", "", "RG", "R"}, {"", "GB", "R", "RG"}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    for (const char order : {'I', 'M'}) {
      const Image turned = decoded(with_exif(jpeg_of(image), exif_of(orientation, order)));
      const bool exchanged = orientation >= 5;
      EXPECT_EQ(turned.width, exchanged ? image.height : image.width);
      EXPECT_EQ(turned.height, exchanged ? image.width : image.height);
      const std::int64_t x = turned.width - 3;
      const std::int64_t y = turned.height - 3;
      EXPECT_EQ(
          (std::vector{at(turned, 2, 2), at(turned, x, 2), at(turned, 2, y), at(turned, x, y)}),
          expected[static_cast<std::size_t>(orientation - 1)])
          << orientation;
    }
  }
}

TEST(ExifOrientation, IsUprightWhereItIsDamaged) {
  const Bytes whole = exif_of(6, 'I');
  EXPECT_EQ(exif_orientation(whole), 6);
  for (std::size_t size = 0; size < whole.size() - 6; ++size)
    EXPECT_EQ(exif_orientation(std::span(whole).first(size)), kUpright) << size;
  EXPECT_EQ(exif_orientation(exif_of(9, 'I')), kUpright);
  EXPECT_EQ(exif_orientation(exif_of(0, 'M')), kUpright);
  Bytes far = whole;
  far[4] = far[5] = far[6] = far[7] = 0xff;
  EXPECT_EQ(exif_orientation(far), kUpright);
}

TEST(DecodePicture, LaysTransparencyOnTheBackground) {
  const Bytes rgba = {200, 100, 50, 255, 200, 100, 50, 0, 200, 100, 50, 128, 0, 0, 0, 64};
  const Bytes white = {200, 100, 50, 255, 255, 255, 227, 177, 152, 191, 191, 191};
  const Bytes black = {200, 100, 50, 0, 0, 0, 100, 50, 25, 0, 0, 0};
  for (const Bytes& file : {png_of(PNG_FORMAT_RGBA, rgba.data(), 2), webp_of(rgba, 2, 2)}) {
    EXPECT_EQ(decoded(file, kWhite).rgb, white);
    EXPECT_EQ(decoded(file, kBlack).rgb, black);
  }
}

TEST(DecodePicture, ConvertsPalettesAndGrey) {
  const Bytes indices = {0, 1, 1, 0};
  EXPECT_EQ(decoded(png_of(PNG_FORMAT_RGBA_COLORMAP, indices.data(), 2,
                           {10, 20, 30, 255, 200, 100, 50, 0}))
                .rgb,
            (Bytes{10, 20, 30, 255, 255, 255, 255, 255, 255, 10, 20, 30}));
  const Bytes grey = {0, 255, 7, 128};
  EXPECT_EQ(decoded(png_of(PNG_FORMAT_GRAY, grey.data(), 2)).rgb,
            (Bytes{0, 0, 0, 255, 255, 255, 7, 7, 7, 128, 128, 128}));
  const Image light = decoded(jpeg_of(Bytes(256, 180), 16, 16, TJPF_GRAY, TJSAMP_GRAY));
  EXPECT_EQ(light.rgb, Bytes(16 * 16 * 3, 180));
}

// A 16-bit grey PNG written by libpng's plain interface.
Bytes sixteen_bit_png(const Bytes& samples) {
  Bytes bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &bytes,
      [](png_structp writer, png_bytep data, std::size_t size) {
        auto* out = static_cast<Bytes*>(png_get_io_ptr(writer));
        out->insert(out->end(), data, data + size);
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(samples.size() / 2), 1, 16, PNG_COLOR_TYPE_GRAY,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  png_write_row(png, samples.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

TEST(DecodePicture, RoundsSixteenBits) {
  EXPECT_EQ(decoded(sixteen_bit_png({0, 0, 0xff, 0xff, 0x80, 0x00, 0x12, 0xff})).rgb,
            (Bytes{0, 0, 0, 255, 255, 255, 128, 128, 128, 0x13, 0x13, 0x13}));
}

// Inks are stored inverted: full magenta and yellow without black is red.
TEST(DecodePicture, MultipliesInksOut) {
  Bytes inks;
  for (int i = 0; i < 16 * 16; ++i) inks.insert(inks.end(), {255, 0, 0, 255});
  const Image red = decoded(jpeg_of(inks, 16, 16, TJPF_CMYK, TJSAMP_444));
  expect_near(red,
              {.width = 16,
               .height = 16,
               .rgb =
                   [] {
                     Bytes rgb;
                     for (int i = 0; i < 16 * 16; ++i) rgb.insert(rgb.end(), {255, 0, 0});
                     return rgb;
                   }()},
              3);
}

TEST(DecodePicture, RefusesEveryTruncation) {
  for (const Bytes& whole : {encode_png(corners(), {}), jpeg_of(corners()), webp_of(corners())}) {
    EXPECT_NO_THROW(decoded(whole));
    // A JPEG's end marker says nothing about its pixels, but is looked for.
    for (std::size_t size = 0; size + 2 < whole.size(); size += 1 + size / 40) {
      const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      ASSERT_THAT(refusal_of(part), HasSubstr("test.x: ")) << size;
    }
  }
}

TEST(DecodePicture, RefusesPicturesThatAreTooLarge) {
  Bytes jpeg = jpeg_of(corners());
  const Bytes frame = {0xff, 0xc0, 0, 17, 8};
  const auto at = std::search(jpeg.begin(), jpeg.end(), frame.begin(), frame.end());
  ASSERT_NE(at, jpeg.end());
  for (const int byte : {5, 7}) {  // height and width
    at[byte] = 0xff;
    at[byte + 1] = 0xdc;
  }
  EXPECT_THAT(refusal_of(jpeg), HasSubstr("65500x65500 pixels, expected up to 134217728"));
}

// An animation says so before its first pixel; `acTL` elsewhere is no chunk of that name.
TEST(DecodePicture, RefusesAnAnimatedPng) {
  const Bytes still = encode_png(corners(), {{"k", "acTL"}});
  EXPECT_EQ(decoded(still).rgb, corners().rgb);
  // Two frames, for ever.
  const Bytes control = {0, 0, 0, 8, 'a', 'c', 'T',  'L',  0,    0,
                         0, 2, 0, 0, 0,   0,   0xf3, 0x8d, 0x93, 0x70};
  constexpr std::ptrdiff_t kFirstChunkAfterHeader = 33;
  Bytes animated = still;
  animated.insert(animated.begin() + kFirstChunkAfterHeader, control.begin(), control.end());
  EXPECT_THAT(refusal_of(animated), HasSubstr("test.x: an animated PNG, expected a still picture"));
}

TEST(DecodePicture, NamesOtherFormats) {
  const auto named = [](std::string_view begin) {
    Bytes bytes(begin.begin(), begin.end());
    bytes.resize(64);
    return refusal_of(bytes);
  };
  EXPECT_EQ(named("GIF89a"), "test.x: a GIF picture, expected PNG, JPEG or WebP");
  EXPECT_THAT(named(std::string_view("\0\0\0\x18"
                                     "ftypheic",
                                     12)),
              HasSubstr("a HEIC picture"));
  EXPECT_THAT(named(std::string_view("\0\0\0\x18"
                                     "ftypavif",
                                     12)),
              HasSubstr("an AVIF picture"));
  EXPECT_THAT(named("hello"), HasSubstr("no picture of a known format"));
  EXPECT_THAT(refusal_of({}), HasSubstr("an empty file"));
  EXPECT_EQ(error_of([] { read_picture("/nonexistent.png", kWhite); }).code(), ErrorCode::NotFound);
}

}  // namespace
}  // namespace zimage
