// Tests of the 16-bit formats against their definitions, every bit pattern of them.
#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace zimage {
namespace {

constexpr std::uint32_t kPatterns = 0x10000;

// The value of a float format with `fraction_bits` of fraction, from its definition.
double value_of(std::uint32_t bits, int exponent_bits, int fraction_bits) {
  const std::uint32_t fraction = bits & ((1U << fraction_bits) - 1U);
  const std::uint32_t top = (1U << exponent_bits) - 1U;
  const std::uint32_t exponent = (bits >> fraction_bits) & top;
  const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  if (exponent == top) {
    return fraction != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) {
    return sign * std::ldexp(static_cast<double>(fraction), 1 - bias - fraction_bits);
  }
  return sign * std::ldexp(static_cast<double>(fraction | (1U << fraction_bits)),
                           static_cast<int>(exponent) - bias - fraction_bits);
}

void expect_same(float found, double expected, std::uint32_t bits) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(found)) << bits;
    return;
  }
  EXPECT_EQ(static_cast<double>(found), expected) << bits;
  EXPECT_EQ(std::signbit(found), std::signbit(expected)) << bits;
}

TEST(Float16, WidensEveryF16AsItsDefinitionSays) {
  for (std::uint32_t bits = 0; bits < kPatterns; ++bits) {
    expect_same(f16_to_float(static_cast<std::uint16_t>(bits)), value_of(bits, 5, 10), bits);
  }
}

TEST(Float16, WidensEveryBf16AsItsDefinitionSays) {
  for (std::uint32_t bits = 0; bits < kPatterns; ++bits) {
    expect_same(bf16_to_float(static_cast<std::uint16_t>(bits)), value_of(bits, 8, 7), bits);
  }
}

TEST(Float16, EveryBf16SurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < kPatterns; ++bits) {
    const float value = bf16_to_float(static_cast<std::uint16_t>(bits));
    const std::uint16_t back = float_to_bf16(value);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_float(back))) << bits;
    } else {
      EXPECT_EQ(back, bits);
    }
  }
}

// Halfway between neighbours goes to the even one; truncation would give the lower one always, and
// rounding half up the upper one.
TEST(Float16, RoundsToTheNearestBf16TiesToEven) {
  for (std::uint32_t bits = 0; bits < 0x7f80U; ++bits) {
    const std::uint32_t low = bits << 16;
    const auto even = static_cast<std::uint16_t>(bits + (bits & 1U));
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(low | 0x8000U)), even);
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(low | 0x7fffU)), bits);
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(low | 0x8001U)), bits + 1);
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(low | 0x8000U | 0x80000000U)), even | 0x8000U);
  }
}

TEST(Float16, BeyondTheLargestBf16IsInfinity) {
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7f80U);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::infinity()), 0x7f80U);
  EXPECT_EQ(float_to_bf16(-std::numeric_limits<float>::infinity()), 0xff80U);
}

// A NaN whose upper half has no fraction bit would round to infinity.
TEST(Float16, ANanWithALowPayloadStaysANan) {
  for (const std::uint32_t bits : {0x7f800001U, 0xff800001U, 0x7fffffffU, 0xffffffffU}) {
    EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(bits))))) << bits;
  }
}

}  // namespace
}  // namespace zimage
