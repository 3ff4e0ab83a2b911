// Lossy files: near the pixels, whole in their text, refused where they cannot hold what they get.
#include "image/encode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "error_of.h"
#include "image/decode.h"

namespace zimage {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<std::uint8_t>;

constexpr PictureFormat kLossy[] = {PictureFormat::Jpeg, PictureFormat::Webp};

Image slope(std::int64_t width, std::int64_t height) {
  Image image{.width = width, .height = height, .rgb = {}};
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      image.rgb.push_back(static_cast<std::uint8_t>(x * 3));
      image.rgb.push_back(static_cast<std::uint8_t>(y * 4));
      image.rgb.push_back(static_cast<std::uint8_t>(120 + x - y));
    }
  }
  return image;
}

// Mean of the differences.
double distance(const Image& a, const Image& b) {
  EXPECT_EQ(a.width, b.width);
  EXPECT_EQ(a.height, b.height);
  double sum = 0;
  for (std::size_t i = 0; i < std::min(a.rgb.size(), b.rgb.size()); ++i)
    sum += std::abs(int{a.rgb[i]} - int{b.rgb[i]});
  return sum / static_cast<double>(a.rgb.size());
}

bool holds(const Bytes& bytes, std::string_view text) {
  return std::search(bytes.begin(), bytes.end(), text.begin(), text.end(),
                     [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); }) !=
         bytes.end();
}

TEST(EncodePicture, IsNearThePixelsAndNearerWithMoreQuality) {
  for (const auto& [width, height] : {std::pair{64, 40}, {1, 1}, {33, 7}}) {
    const Image image = slope(width, height);
    for (const PictureFormat format : kLossy) {
      const auto written = [&](int quality) {
        return encode_picture(image, {{"zimage", "{}"}}, {.format = format, .quality = quality});
      };
      const Image fine = decode_picture(written(95), "fine", kWhite);
      EXPECT_LT(distance(fine, image), 6) << name_of(format);
      EXPECT_LE(distance(fine, image),
                distance(decode_picture(written(5), "coarse", kWhite), image));
      EXPECT_LE(written(5).size(), written(95).size());
    }
  }
  const Image image = slope(9, 5);
  EXPECT_EQ(decode_picture(encode_picture(image, {}, {}), "png", kWhite).rgb, image.rgb);
}

// The comment in UTF-16, as A1111's readers want it, the JSON as it is.
TEST(EncodePicture, HoldsItsText) {
  const ImageText text = {{"parameters", "a \xe7\x8c\xab \xf0\x9f\x90\x88"},
                          {"zimage", "{\"prompt\":\"\xe7\x8c\xab\"}"}};
  const std::string_view comment("UNICODE\0\0a\0 \x73\x2b\0 \xd8\x3d\xdc\x08", 20);
  for (const PictureFormat format : kLossy) {
    const Bytes bytes = encode_picture(slope(16, 16), text, {.format = format});
    EXPECT_TRUE(holds(bytes, comment)) << name_of(format);
    EXPECT_TRUE(holds(bytes, "{\"prompt\":\"\\u732b\"}")) << name_of(format);
    EXPECT_NO_THROW(decode_picture(bytes, "x", kWhite));
  }
}

TEST(EncodePicture, RefusesWhatAFormatCannotHold) {
  const auto refusal = [](std::int64_t width, const ImageText& text, PictureFormat format) {
    const Error error = error_of([&] { check_encodable(width, 8, text, format); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return std::string(error.what());
  };
  EXPECT_THAT(refusal(16384, {}, PictureFormat::Webp), HasSubstr("sides up to 16383"));
  EXPECT_THAT(refusal(65501, {}, PictureFormat::Jpeg), HasSubstr("sides up to 65500"));
  EXPECT_THAT(refusal(8, {{"parameters", std::string(33000, 'a')}}, PictureFormat::Jpeg),
              HasSubstr("bytes of metadata, expected up to 65527"));
  EXPECT_THAT(refusal(8, {{"zimage", "\xff"}}, PictureFormat::Webp), HasSubstr("not UTF-8"));
  EXPECT_NO_THROW(
      check_encodable(8, 8, {{"parameters", std::string(33000, 'a')}}, PictureFormat::Webp));
  const Image torn{.width = 2, .height = 2, .rgb = Bytes(11)};
  for (const PictureFormat format : kLossy) {
    EXPECT_THAT(error_of([&] { encode_picture(torn, {}, {.format = format}); }).what(),
                HasSubstr("11 bytes, expected 12"));
  }
}

TEST(FormatOfExtension, KnowsTheUsualOnes) {
  EXPECT_EQ(format_of_extension("png"), PictureFormat::Png);
  EXPECT_EQ(format_of_extension("JPG"), PictureFormat::Jpeg);
  EXPECT_EQ(format_of_extension("jpeg"), PictureFormat::Jpeg);
  EXPECT_EQ(format_of_extension("WebP"), PictureFormat::Webp);
  EXPECT_EQ(format_of_extension("gif"), std::nullopt);
  EXPECT_EQ(format_of_extension(""), std::nullopt);
}

}  // namespace
}  // namespace zimage
