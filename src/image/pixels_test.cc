// Every bf16 number, against arithmetic in double.
#include "image/pixels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace zimage {
namespace {

float widened(std::uint32_t bf16) {
  return std::bit_cast<float>(bf16 << 16);
}

// diffusers: (x / 2 + 0.5).clamp(0, 1) in f32, then numpy's round of 255 times it.
std::uint8_t expected(float x) {
  const float half = x / 2 + 0.5F;
  return static_cast<std::uint8_t>(std::nearbyint(std::clamp(half, 0.0F, 1.0F) * 255.0F));
}

TEST(Pixels, RoundEveryFiniteNumberAsTheReferenceDoes) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = widened(bits);
    if (!std::isfinite(value)) continue;
    auto word = static_cast<std::uint16_t>(bits);
    std::uint8_t wide = 0;
    std::uint8_t narrow = 0;
    ASSERT_TRUE(to_bytes({&wide, 1}, {&value, DType::F32, {1}}));
    ASSERT_TRUE(to_bytes({&narrow, 1}, {&word, DType::BF16, {1}}));
    ASSERT_EQ(wide, expected(value)) << value;
    ASSERT_EQ(narrow, expected(value)) << value;
  }
}

TEST(Pixels, TellWhereOneIsNotFinite) {
  for (const std::uint32_t bad : {0x7fc0U, 0x7f80U, 0xff80U, 0xffc1U}) {
    std::vector<float> values(37, 0.25F);
    std::vector<std::uint16_t> words(37, 0x3e80);
    values[29] = widened(bad);
    words[29] = static_cast<std::uint16_t>(bad);
    std::vector<std::uint8_t> out(37);
    EXPECT_FALSE(to_bytes(out, {values.data(), DType::F32, {37}}));
    EXPECT_FALSE(to_bytes(out, {words.data(), DType::BF16, {37}}));
  }
}

}  // namespace
}  // namespace zimage
