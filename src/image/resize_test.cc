// Against Pillow 13's Image.resize(size, LANCZOS, box), byte by byte.
#include "image/resize.h"

#include <gtest/gtest.h>

namespace zimage {
namespace {

Image pattern(std::int64_t width, std::int64_t height) {
  Image image{.width = width, .height = height, .rgb = {}};
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      image.rgb.push_back(static_cast<std::uint8_t>(x * 37 + y * 91));
      image.rgb.push_back(static_cast<std::uint8_t>(x * x * 13 + y * 7));
      image.rgb.push_back((x + y) % 2 == 1 ? 255 : 0);
    }
  }
  return image;
}

using Bytes = std::vector<std::uint8_t>;

TEST(Resized, ShrinksAsPillowDoes) {
  const Image out =
      resized(pattern(13, 11), {.left = 0, .top = 0, .width = 13, .height = 11}, {4, 3});
  EXPECT_EQ(out.width, 4);
  EXPECT_EQ(out.height, 3);
  EXPECT_EQ(out.rgb, (Bytes{102, 42, 126, 131, 170, 128, 112, 102, 128, 126, 42,  126,
                            126, 68, 128, 111, 174, 127, 125, 120, 127, 119, 69,  128,
                            149, 96, 126, 130, 94,  128, 111, 111, 128, 127, 104, 126}));
}

TEST(Resized, GrowsAsPillowDoes) {
  const Image out = resized(pattern(5, 4), {.left = 0, .top = 0, .width = 5, .height = 4}, {7, 5});
  EXPECT_EQ(out.rgb,
            (Bytes{0,   0,   0,   14,  4,   176, 45,  21,  218, 66,  52,  0,   89,  90,  218,
                   123, 165, 176, 142, 214, 0,   48,  4,   209, 62,  8,   100, 107, 25,  77,
                   156, 56,  209, 183, 94,  77,  212, 169, 100, 232, 218, 209, 167, 11,  128,
                   207, 15,  128, 181, 32,  128, 83,  63,  128, 95,  101, 128, 144, 176, 128,
                   159, 225, 128, 130, 17,  46,  175, 21,  155, 135, 38,  178, 9,   69,  46,
                   19,  107, 178, 71,  182, 155, 85,  231, 46,  4,   21,  255, 21,  25,  79,
                   61,  42,  37,  99,  73,  255, 125, 111, 37,  156, 186, 79,  175, 235, 255}));
}

TEST(Resized, TakesAPartAsPillowDoes) {
  const Image out =
      resized(pattern(20, 9), {.left = 1.5, .top = 0.25, .width = 16, .height = 8.25}, {5, 3});
  EXPECT_EQ(out.rgb,
            (Bytes{120, 94,  128, 125, 166, 127, 113, 43, 128, 134, 100, 128, 112, 116, 127,
                   111, 118, 127, 124, 197, 128, 121, 69, 127, 120, 90,  127, 130, 98,  128,
                   131, 108, 128, 109, 138, 127, 126, 92, 128, 115, 113, 128, 125, 123, 127}));
}

TEST(Resized, LeavesASizeAlone) {
  const Image image = pattern(6, 4);
  EXPECT_EQ(resized(image, {.left = 0, .top = 0, .width = 6, .height = 4}, {6, 4}).rgb, image.rgb);
}

TEST(MiddleOf, HasTheProportionsOfTheTarget) {
  const Crop wide = middle_of({400, 100}, {64, 64});
  EXPECT_EQ(wide.left, 150);
  EXPECT_EQ(wide.top, 0);
  EXPECT_EQ(wide.width, 100);
  EXPECT_EQ(wide.height, 100);
  const Crop tall = middle_of({100, 400}, {200, 100});
  EXPECT_EQ(tall.top, 175);
  EXPECT_EQ(tall.height, 50);
  const Crop whole = middle_of({300, 200}, {96, 64});
  EXPECT_EQ(whole.left, 0);
  EXPECT_EQ(whole.width, 300);
  EXPECT_EQ(whole.height, 200);
}

}  // namespace
}  // namespace zimage
