// Floats rounded to the small float formats of files: to nearest, ties to even. The other direction
// is base/float16.h and base/float8.h.
#pragma once

#include <bit>
#include <cstdint>

namespace zimage {

// IEEE 754 binary16, subnormals included; what exceeds its range becomes infinity, a NaN a quiet
// NaN.
constexpr std::uint16_t float_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  std::uint32_t half = 0x7c00U;
  if (magnitude > 0x7f800000U) {
    half = 0x7e00U;
  } else if (magnitude < 0x38800000U) {
    // Below 2^-14: the sum's last bit is worth 2^-24, as a subnormal's is.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    half = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5F);
  } else if (magnitude < 0x47800000U) {
    // A fraction that is rounded up past its end carries into the exponent, at last to infinity.
    half = (magnitude - 0x38000000U + 0xfffU + ((magnitude >> 13) & 1U)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

// float8_e4m3fn: what exceeds 448, its largest number, becomes that; a NaN stays one.
constexpr std::uint8_t float_to_fp8_e4m3(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 24) & 0x80U;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  std::uint32_t small = 0x7eU;
  if (magnitude > 0x7f800000U) {
    small = 0x7fU;
  } else if (magnitude < 0x3c800000U) {
    // Below 2^-6: the sum's last bit is worth 2^-9, as a subnormal's is.
    const float shifted = std::bit_cast<float>(magnitude) + 16384.0F;
    small = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(16384.0F);
  } else if (magnitude < 0x43e00000U) {
    small = (magnitude - 0x3c000000U + 0x7ffffU + ((magnitude >> 20) & 1U)) >> 20;
  }
  return static_cast<std::uint8_t>(sign | small);
}

}  // namespace zimage
