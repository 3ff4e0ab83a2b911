// Scaling, clamping, rounding.
#include "image/pixels.h"

#include <bit>
#include <cassert>
#include <cstddef>

namespace zimage {
namespace {

// `bits` gives the i-th number's f32 representation. Clamps by comparing representations as
// integers, which positive floats allow: comparisons of floats keep compilers from turning the loop
// into vector operations.
template <typename Bits>
bool convert(std::span<std::uint8_t> out, Bits bits) {
  constexpr std::uint32_t kExponent = 0x7f800000U;
  constexpr auto kOne = std::bit_cast<std::int32_t>(1.0F);
  // Adding 2^23 leaves no room for fractions: rounds to nearest, ties to even.
  constexpr float kNoFractions = 0x1p23F;
  std::uint32_t faults = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::uint32_t word = bits(i);
    faults |= (word & kExponent) == kExponent ? 1U : 0U;
    const auto half = std::bit_cast<std::int32_t>(std::bit_cast<float>(word) * 0.5F + 0.5F);
    const std::int32_t positive = half & ~(half >> 31);
    const std::int32_t clamped = positive < kOne ? positive : kOne;
    const float shifted = std::bit_cast<float>(clamped) * 255.0F + kNoFractions;
    out[i] = static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(shifted));
  }
  return faults == 0;
}

}  // namespace

bool to_bytes(std::span<std::uint8_t> out, const Tensor& values) {
  assert(static_cast<std::int64_t>(out.size()) == values.elements());
  if (values.dtype == DType::BF16) {
    const auto* words = values.as<std::uint16_t>();
    return convert(out, [=](std::size_t i) { return std::uint32_t{words[i]} << 16; });
  }
  assert(values.dtype == DType::F32);
  const auto* numbers = values.as<float>();
  return convert(out, [=](std::size_t i) { return std::bit_cast<std::uint32_t>(numbers[i]); });
}

}  // namespace zimage
