// Rounding of f32 runs to the numbers of the dot formats. Plain loops that compilers turn into
// vector code. Included by kernel files only.
#pragma once

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

inline std::uint32_t bits_of(float x) {
  std::uint32_t bits = 0;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return bits;
}
inline float float_of(std::uint32_t bits) {
  float x = 0;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}

// The largest magnitude; NaN if there is one: as integers, bits without a sign are ordered like it.
inline float largest_of(const float* x, std::size_t n) {
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t size = bits_of(x[i]) & 0x7fffffffU;
    most = size > most ? size : most;
  }
  return float_of(most);
}

// out = x / scale + offset, rounded to integers of at most `most`; returns the scale, 0 for a run
// so small that its inverse would not be a number. A NaN or infinity makes the scale one.
template <class Number>
inline float quantize(Number* out, const float* x, std::size_t n, float most, int offset) {
  // Adding it leaves no fraction bits, and the lowest bits are the integer's.
  constexpr float kRound = 0x1.8p23F;
  constexpr float kLeast = 0x1p-100F;
  const float largest = largest_of(x, n);
  const bool vanishes = largest < kLeast;
  const float factor = vanishes ? 0.F : most / largest;
  const std::uint32_t base = bits_of(kRound) - static_cast<std::uint32_t>(offset);
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = static_cast<Number>(bits_of(x[i] * factor + kRound) - base);
  }
  return vanishes ? 0.F : largest / most;
}

// To the nearest, halves to even; NaN stays NaN.
inline void round_to_bf16(std::uint16_t* out, const float* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t bits = bits_of(x[i]);
    const std::uint32_t rounded = bits + 0x7fffU + ((bits >> 16U) & 1U);
    const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
    out[i] = static_cast<std::uint16_t>((nan ? bits | 0x400000U : rounded) >> 16U);
  }
}

// The types of a dot format: of activations and of weights, and of their sums.
template <class LeftNumber, class RightNumber, class SumOfProducts>
struct Numbers {
  using Left = LeftNumber;
  using Right = RightNumber;
  using Sum = SumOfProducts;
  static Left* left(std::uint32_t* words) { return reinterpret_cast<Left*>(words); }
};

// What a dot format needs to know of its numbers. `kMostLeft` kMostRight dot_block() is below 2^31.
struct Int16Format : Numbers<std::int16_t, std::int16_t, Words> {
  static constexpr PanelFormat kFormat = PanelFormat::Int16;
  static constexpr float kMostLeft = 2047;
  static constexpr float kMostRight = 2047;
  static constexpr int kOffset = 0;
  static Sum add(Sum sum, Words x, Words w) { return dot_int16(sum, x, w); }
};
struct Int8Format : Numbers<std::uint8_t, std::int8_t, Words> {
  static constexpr PanelFormat kFormat = PanelFormat::Int8;
  static constexpr float kMostLeft = 127;
  static constexpr float kMostRight = 127;
  static constexpr int kOffset = 128;  // of the left operand
  static Sum add(Sum sum, Words x, Words w) { return dot_int8(sum, x, w); }
};
struct Bf16Format : Numbers<std::uint16_t, std::uint16_t, Vec> {
  static constexpr PanelFormat kFormat = PanelFormat::Bf16Pairs;
  static Sum add(Sum sum, Words x, Words w) { return dot_bf16(sum, x, w); }
};

template <class Format>
constexpr bool kScaled = Format::kFormat != PanelFormat::Bf16Pairs;
template <class Format>
constexpr std::size_t kInWord = 4 / sizeof(typename Format::Left);

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
