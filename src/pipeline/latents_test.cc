// Patch order and the decoder's map, on numbers that tell where they came from.
#include "pipeline/latents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace zimage {
namespace {

constexpr LatentShape kShape{.channels = 2, .rows = 2, .columns = 4, .patch = 2};

// Planes count up: channel 0 is 0..7, channel 1 is 8..15.
std::vector<float> planes() {
  std::vector<float> values(16);
  std::iota(values.begin(), values.end(), 0.0F);
  return values;
}

TEST(TokensFromPlanes, OrdersFeaturesByPatchRowPatchColumnChannel) {
  EXPECT_THAT(tokens_from_planes(planes(), kShape),
              testing::ElementsAre(0, 8, 1, 9, 4, 12, 5, 13, 2, 10, 3, 11, 6, 14, 7, 15));
}

TEST(MapFromTokens, PutsChannelsLastAndUnscales) {
  const std::vector<float> tokens = tokens_from_planes(planes(), kShape);
  const std::vector<float> map = map_from_tokens(tokens, kShape, 2.0F, 1.0F);
  EXPECT_THAT(map,
              testing::ElementsAre(1, 5, 1.5, 5.5, 2, 6, 2.5, 6.5, 3, 7, 3.5, 7.5, 4, 8, 4.5, 8.5));
}

}  // namespace
}  // namespace zimage
