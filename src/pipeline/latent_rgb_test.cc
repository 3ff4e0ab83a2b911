#include "pipeline/latent_rgb.h"

#include <gtest/gtest.h>

#include <cmath>

#include "image/resize.h"
#include "pipeline/pipeline.h"

namespace zimage {
namespace {

constexpr LatentShape kShape{.channels = 5, .rows = 8, .columns = 16, .patch = 2};
constexpr std::int64_t kScale = 4;

// A decoder that is a linear map, one colour for each square.
float colour_of(std::span<const float> latent, int colour) {
  float value = 0.1F * static_cast<float>(colour);
  for (std::size_t i = 0; i < latent.size(); ++i)
    value += latent[i] * 0.05F * static_cast<float>((static_cast<int>(i) * 3 + colour) % 4 - 1);
  return value;
}

TEST(LatentRgb, FindsALinearDecoder) {
  const std::vector<float> map = fitting_map(kShape, {});
  std::vector<float> pixels;
  for (std::int64_t y = 0; y < kShape.rows * kScale; ++y) {
    for (std::int64_t x = 0; x < kShape.columns * kScale; ++x) {
      const auto at = static_cast<std::size_t>((y / kScale * kShape.columns + x / kScale) * 5);
      for (int colour = 0; colour < 3; ++colour)
        pixels.push_back(colour_of(std::span(map).subspan(at, 5), colour));
    }
  }
  const LatentRgb rgb(map, pixels, kShape);
  const Image image = rgb.image(map, kShape);
  ASSERT_EQ(image.width, 16);
  ASSERT_EQ(image.height, 8);
  for (std::size_t i = 0; i < image.rgb.size(); ++i) {
    const float value = colour_of(std::span(map).subspan(i / 3 * 5, 5), static_cast<int>(i % 3));
    const float level = std::min(std::max(value * 127.5F + 127.5F, 0.0F), 255.0F);
    ASSERT_NEAR(image.rgb[i], level, 0.6F);
  }
}

TEST(FittingMap, IsTheSameInEveryRun) {
  const std::vector<float> map = fitting_map(kShape, {.scaling = 0.5F, .shift = 1});
  EXPECT_EQ(map, fitting_map(kShape, {.scaling = 0.5F, .shift = 1}));
  EXPECT_EQ(map.size(), 5U * 8 * 16);
}

double correlation(const Image& a, const Image& b) {
  double sums[5] = {};
  for (std::size_t i = 0; i < a.rgb.size(); ++i) {
    const double x = a.rgb[i];
    const double y = b.rgb[i];
    sums[0] += x;
    sums[1] += y;
    sums[2] += x * x;
    sums[3] += y * y;
    sums[4] += x * y;
  }
  const auto n = static_cast<double>(a.rgb.size());
  return (n * sums[4] - sums[0] * sums[1]) /
         std::sqrt((n * sums[2] - sums[0] * sums[0]) * (n * sums[3] - sums[1] * sums[1]));
}

// The last preview is the picture, but for its details: right ones correlate by 0.9 with it, those
// of a map that is fitted to nothing, or of the wrong sign of the velocity, by less than 0.5.
TEST(Preview, ResemblesThePicture) {
  Pipeline pipeline({.model = ZIMAGE_SOURCE_DIR "/models/zimage-tiny"});
  const Request request{
      .prompt = "a red apple", .width = 250, .height = 200, .steps = 8, .seed = 42, .count = 2};
  std::vector<Preview> previews;
  const Result result = pipeline.generate(
      request, {}, {}, {.every = 3, .show = [&](const Preview& p) { previews.push_back(p); }});
  ASSERT_EQ(previews.size(), 4U);  // of steps 3 and 6, of both pictures
  for (std::size_t i = 0; i < previews.size(); ++i) {
    EXPECT_EQ(previews[i].step, i < 2 ? 3 : 6);
    EXPECT_EQ(previews[i].picture, static_cast<std::int64_t>(i % 2));
    EXPECT_EQ(previews[i].image.width, 32);  // 250 pixels in squares of 8
    EXPECT_EQ(previews[i].image.height, 25);
  }
  for (std::size_t picture = 0; picture < 2; ++picture) {
    const Image& whole = result.images[picture];
    const Image small = resized(whole, {0, 0, 250, 200}, {32, 25});
    EXPECT_GT(correlation(previews[2 + picture].image, small), 0.8);
  }
  EXPECT_EQ(pipeline.generate(request).images.front().rgb, result.images.front().rgb);
}

}  // namespace
}  // namespace zimage
