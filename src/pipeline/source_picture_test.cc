// Fitting a picture and its mask to the size that is drawn.
#include "pipeline/source_picture.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace zimage {
namespace {

Image pattern(std::int64_t width, std::int64_t height) {
  Image image{.width = width, .height = height, .rgb = {}};
  for (std::int64_t i = 0; i < width * height * 3; ++i)
    image.rgb.push_back(static_cast<std::uint8_t>(i * 31));
  return image;
}

std::vector<std::uint8_t> pixel(const Image& image, std::int64_t x, std::int64_t y) {
  const auto first = image.rgb.begin() + (y * image.width + x) * 3;
  return {first, first + 3};
}

TEST(FitSource, LeavesAPictureOfTheSizeAloneAndRepeatsItsBorder) {
  const Image image = pattern(20, 17);
  const Request request{.prompt = "a", .width = 20, .height = 17, .init_image = image};
  EXPECT_EQ(fit_source(request, 20, 17).picture.rgb, image.rgb);
  const Image larger = fit_source(request, 32, 32).picture;
  EXPECT_EQ(larger.width, 32);
  EXPECT_EQ(larger.height, 32);
  EXPECT_EQ(pixel(larger, 19, 16), pixel(image, 19, 16));
  EXPECT_EQ(pixel(larger, 31, 5), pixel(image, 19, 5));
  EXPECT_EQ(pixel(larger, 7, 31), pixel(image, 7, 16));
  EXPECT_EQ(pixel(larger, 31, 31), pixel(image, 19, 16));
}

// A white square in the middle third: of a picture three times as wide as high, it is what is
// drawn.
TEST(FitSource, TakesTheMaskWithThePart) {
  Image mask{.width = 30, .height = 10, .rgb = {}};
  for (std::int64_t i = 0; i < 300; ++i)
    mask.rgb.insert(mask.rgb.end(), 3, i % 30 / 10 == 1 ? 255 : 0);
  const Request square{
      .prompt = "a", .width = 64, .height = 64, .init_image = pattern(96, 32), .mask = mask};
  const SourcePicture part = fit_source(square, 64, 64);
  EXPECT_EQ(std::count(part.mask.begin(), part.mask.end(), 1), 64 * 64);
  Request whole = square;
  whole.width = 96;
  whole.height = 32;
  const SourcePicture all = fit_source(whole, 96, 32);
  EXPECT_EQ(all.picture.rgb, whole.init_image.rgb);
  EXPECT_EQ(std::count(all.mask.begin(), all.mask.end(), 1), 32 * 32);
  EXPECT_EQ(all.mask[31], 0);
  EXPECT_EQ(all.mask[32], 1);
  EXPECT_EQ(all.mask[63], 1);
  EXPECT_EQ(all.mask[64], 0);
}

TEST(FitSource, DividesAMaskAtHalfItsBrightness) {
  const auto of = [](std::uint8_t r, std::uint8_t g, std::uint8_t b) {
    const Request request{.prompt = "a",
                          .width = 1,
                          .height = 1,
                          .init_image = pattern(1, 1),
                          .mask = {.width = 1, .height = 1, .rgb = {r, g, b}}};
    return fit_source(request, 1, 1).mask.front();
  };
  EXPECT_EQ(of(128, 128, 128), 1);
  EXPECT_EQ(of(127, 127, 127), 0);
  EXPECT_EQ(of(0, 255, 0), 1);
  EXPECT_EQ(of(255, 0, 255), 0);
}

TEST(EncoderPixels, LieBetweenMinusOneAndOne) {
  Image image = pattern(16, 16);
  image.rgb[0] = 0;
  image.rgb[1] = 255;
  const std::vector<float> all = encoder_pixels(image, 0, 16);
  ASSERT_EQ(all.size(), image.rgb.size());
  EXPECT_EQ(all[0], -1.0F);
  EXPECT_EQ(all[1], 1.0F);
  const std::vector<float> part = encoder_pixels(image, 8, 10);
  ASSERT_EQ(part.size(), 2U * 16 * 3);
  EXPECT_EQ(part[0], all[8 * 16 * 3]);
  EXPECT_EQ(part.back(), all[10 * 16 * 3 - 1]);
}

TEST(MaskTokens, TakeTheUpperLeftPixelOfEachLatentPixel) {
  constexpr LatentShape kShape{.channels = 2, .rows = 2, .columns = 4, .patch = 2};
  SourcePicture source{.picture = pattern(32, 16), .mask = std::vector<std::uint8_t>(32 * 16, 0)};
  source.mask[8] = 1;            // latent row 0, column 1
  source.mask[8 * 32 + 24] = 1;  // latent row 1, column 3
  source.mask[9 * 32 + 1] = 1;   // inside a latent pixel
  // Tokens of two by two latent pixels, each with both channels.
  EXPECT_EQ(mask_tokens(source, kShape),
            (std::vector<float>{0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}));
}

TEST(KeepUnmasked, PutsTheSourceBack) {
  const Image source = pattern(4, 2);
  SourcePicture kept{.picture = source, .mask = {1, 0, 1, 1, 0, 1, 1, 1}};
  Image image{.width = 3, .height = 2, .rgb = std::vector<std::uint8_t>(18, 9)};
  keep_unmasked(image, kept);
  EXPECT_EQ(pixel(image, 0, 0), (std::vector<std::uint8_t>{9, 9, 9}));
  EXPECT_EQ(pixel(image, 1, 0), pixel(source, 1, 0));
  EXPECT_EQ(pixel(image, 0, 1), pixel(source, 0, 1));
  EXPECT_EQ(pixel(image, 2, 1), (std::vector<std::uint8_t>{9, 9, 9}));
}

}  // namespace
}  // namespace zimage
