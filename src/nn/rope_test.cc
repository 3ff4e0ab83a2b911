// Rotary tables against the recorded reference and by hand.
#include "nn/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "golden_file.h"

namespace zimage {
namespace {

// Angles in f32 from the start differ by 3e-5 at position 1000.
TEST(AxialRopeTable, AgreesWithTheReference) {
  const GoldenFile golden(ZIMAGE_SOURCE_DIR "/tests/golden/rope.safetensors");
  const std::vector<Position> positions = {{0, 0, 0},   {1, 0, 0},       {33, 0, 0},
                                           {33, 5, 63}, {513, 127, 255}, {1000, 511, 1}};
  const std::vector<std::int64_t> axes = {32, 48, 48};
  const std::vector<float> table = axial_rope_table(positions, axes, 256.0);
  const std::vector<float>& cosines = golden.values("cos");
  const std::vector<float>& sines = golden.values("sin");
  ASSERT_EQ(table.size(), 2 * cosines.size());
  for (std::size_t i = 0; i < cosines.size(); ++i) {
    EXPECT_NEAR(table[2 * i], cosines[i], 1e-6) << i;
    EXPECT_NEAR(table[2 * i + 1], sines[i], 1e-6) << i;
  }
}

TEST(RopeTable, TurnsPairsByPositionOverPowersOfTheta) {
  const std::vector<float> table = rope_table(3, 4, 100.0);
  ASSERT_EQ(table.size(), 3U * 2U * 2U);
  EXPECT_EQ(table[0], 1.0F);  // position 0 does not turn
  EXPECT_EQ(table[1], 0.0F);
  EXPECT_NEAR(table[8], std::cos(2.0), 1e-7);   // position 2, pair 0: 2 radians
  EXPECT_NEAR(table[11], std::sin(0.2), 1e-7);  // pair 1: theta^(-1/2) of it
}

}  // namespace
}  // namespace zimage
