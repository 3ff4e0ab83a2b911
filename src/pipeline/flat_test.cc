#include "pipeline/flat.h"

#include <gtest/gtest.h>

#include <vector>

namespace zimage {
namespace {

Image of_one_colour(std::int64_t side, std::uint8_t level) {
  return {.width = side,
          .height = side,
          .rgb = std::vector<std::uint8_t>(static_cast<std::size_t>(side * side * 3), level)};
}

TEST(IsFlat, AllowsOneLevel) {
  for (const std::uint8_t level : {std::uint8_t{0}, std::uint8_t{128}, std::uint8_t{254}}) {
    Image image = of_one_colour(64, level);
    EXPECT_TRUE(is_flat(image));
    image.rgb.back() = static_cast<std::uint8_t>(level + 1);
    EXPECT_TRUE(is_flat(image));
  }
}

TEST(IsFlat, TwoLevelsInOneChannelAreAPicture) {
  Image image = of_one_colour(64, 0);
  image.rgb[3001] = 2;
  EXPECT_FALSE(is_flat(image));
}

// Another colour in each channel is still one colour.
TEST(IsFlat, LooksAtChannelsApart) {
  Image image = of_one_colour(64, 0);
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) image.rgb[i] = 255;
  EXPECT_TRUE(is_flat(image));
}

TEST(IsFlat, SaysNothingOfSmallPictures) {
  EXPECT_FALSE(is_flat(of_one_colour(63, 0)));
}

TEST(AreRowsEqual, ComparesEachColumn) {
  EXPECT_TRUE(are_rows_equal(std::vector<float>{1, 2, 1, 2.0005F, 1, 2}, 2));
  EXPECT_FALSE(are_rows_equal(std::vector<float>{1, 2, 1, 2, 1, 2.01F}, 2));
  EXPECT_FALSE(are_rows_equal(std::vector<float>{1, 2, 2, 1}, 2));
}

}  // namespace
}  // namespace zimage
