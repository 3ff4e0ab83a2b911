// Tiles cover a side, overlap, and blend to what they were cut from.
#include "pipeline/tiles.h"

#include <gtest/gtest.h>

#include <cmath>

namespace zimage {
namespace {

TEST(CutIntoTiles, LeavesWhatFitsInOnePiece) {
  for (const std::int64_t tile : {0, 32, 100}) {
    const std::vector<TileSpan> spans = cut_into_tiles(32, tile, 8);
    ASSERT_EQ(spans.size(), 1U);
    EXPECT_EQ(spans[0].end, 32);
    EXPECT_EQ(spans[0].weights, std::vector<float>(256, 1.0F));
  }
}

TEST(CutIntoTiles, CoversEverySizeWithWeightsThatSumToOne) {
  for (const std::int64_t tile : {4, 32, 48}) {
    for (std::int64_t extent = tile + 1; extent < 5 * tile; ++extent) {
      const std::vector<TileSpan> spans = cut_into_tiles(extent, tile, 2);
      std::vector<float> sums(static_cast<std::size_t>(2 * extent), 0.0F);
      std::int64_t reached = 0;
      for (const TileSpan& span : spans) {
        ASSERT_EQ(span.end - span.begin, tile);
        ASSERT_TRUE(reached == 0 || reached - span.begin >= tile / 4);
        reached = span.end;
        for (std::size_t i = 0; i < span.weights.size(); ++i) {
          ASSERT_GT(span.weights[i], 0.0F);
          sums[static_cast<std::size_t>(2 * span.begin) + i] += span.weights[i];
        }
      }
      ASSERT_EQ(spans.front().begin, 0);
      ASSERT_EQ(reached, extent);
      for (const float sum : sums) ASSERT_NEAR(sum, 1.0F, 1e-6F);
    }
  }
}

// A picture that is cut without being changed comes back.
TEST(BlendTile, GivesBackWhatWasCut) {
  constexpr std::int64_t kRows = 13;
  constexpr std::int64_t kColumns = 22;
  constexpr std::int64_t kScale = 2;
  const auto value = [](std::int64_t row, std::int64_t column, std::int64_t channel) {
    return std::sin(static_cast<float>(row * 31 + column * 7 + channel));
  };
  std::vector<float> picture(kRows * kScale * kColumns * kScale * 3, 0.0F);
  const std::vector<TileSpan> rows = cut_into_tiles(kRows, 8, kScale);
  const std::vector<TileSpan> columns = cut_into_tiles(kColumns, 8, kScale);
  for (const TileSpan& r : rows) {
    for (const TileSpan& c : columns) {
      std::vector<float> pixels;
      for (std::int64_t y = r.begin * kScale; y < r.end * kScale; ++y) {
        for (std::int64_t x = c.begin * kScale; x < c.end * kScale; ++x) {
          for (std::int64_t channel = 0; channel < 3; ++channel)
            pixels.push_back(value(y, x, channel));
        }
      }
      blend_tile(picture, kColumns * kScale, pixels, {.rows = r, .columns = c}, kScale);
    }
  }
  std::size_t i = 0;
  for (std::int64_t y = 0; y < kRows * kScale; ++y) {
    for (std::int64_t x = 0; x < kColumns * kScale; ++x) {
      for (std::int64_t channel = 0; channel < 3; ++channel)
        ASSERT_NEAR(picture[i++], value(y, x, channel), 1e-5F);
    }
  }
}

}  // namespace
}  // namespace zimage
