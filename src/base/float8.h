// The small float formats of checkpoints, widened in software: every one of their numbers is an
// f32.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace zimage {

// float8_e4m3fn: no infinity; all ones is NaN.
constexpr float fp8_e4m3_to_float(std::uint8_t bits) {
  const std::uint32_t exponent = (bits >> 3) & 0xfU;
  const std::uint32_t fraction = bits & 0x7U;
  float magnitude = 0;
  if (exponent == 0xfU && fraction == 0x7U) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = static_cast<float>(fraction) * 0x1p-9F;
  } else {
    magnitude = std::bit_cast<float>(((exponent + 120U) << 23) | (fraction << 20));
  }
  return (bits & 0x80U) != 0 ? -magnitude : magnitude;
}

// float8_e5m2: the upper half of an IEEE binary16.
constexpr float fp8_e5m2_to_float(std::uint8_t bits) {
  const std::uint32_t exponent = (bits >> 2) & 0x1fU;
  const std::uint32_t fraction = bits & 0x3U;
  float magnitude = 0;
  if (exponent == 0x1fU) {
    magnitude = fraction == 0 ? std::numeric_limits<float>::infinity()
                              : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = static_cast<float>(fraction) * 0x1p-16F;
  } else {
    magnitude = std::bit_cast<float>(((exponent + 112U) << 23) | (fraction << 21));
  }
  return (bits & 0x80U) != 0 ? -magnitude : magnitude;
}

// e2m1 in the low four bits: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.
constexpr float fp4_e2m1_to_float(std::uint8_t bits) {
  const std::uint32_t exponent = (bits >> 1) & 0x3U;
  const std::uint32_t fraction = bits & 0x1U;
  const float magnitude = exponent == 0 ? static_cast<float>(fraction) * 0.5F
                                        : static_cast<float>(2U + fraction) *
                                              static_cast<float>(1U << exponent) * 0.25F;
  return (bits & 0x8U) != 0 ? -magnitude : magnitude;
}

}  // namespace zimage
