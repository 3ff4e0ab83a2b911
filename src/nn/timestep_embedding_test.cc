// The time sinusoid by hand.
#include "nn/timestep_embedding.h"

#include <gtest/gtest.h>

#include <cmath>

namespace zimage {
namespace {

TEST(TimestepEmbedding, PutsCosinesBeforeSinesAtFallingFrequencies) {
  const float times[] = {0.0F, 0.25F};
  const std::vector<float> table = timestep_embedding(times, 1000.0F, 8);
  ASSERT_EQ(table.size(), 16U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(table[i], 1.0F);
    EXPECT_EQ(table[4 + i], 0.0F);
    // Frequencies 1, 0.1, 0.01, 0.001: the first leaves no tenth-power rounding beyond f32's own.
    const double angle = 250.0 * std::pow(10.0, -static_cast<double>(i));
    EXPECT_NEAR(table[8 + i], std::cos(angle), 3e-5) << i;
    EXPECT_NEAR(table[12 + i], std::sin(angle), 3e-5) << i;
  }
}

}  // namespace
}  // namespace zimage
