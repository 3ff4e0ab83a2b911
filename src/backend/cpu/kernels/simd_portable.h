// Four floats in the compiler's own vector type: any processor. The operations are listed in
// simd.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zimage::cpu::ZIMAGE_CPU_ISA {

constexpr int kLanes = 4;

using FloatVector = float __attribute__((vector_size(16)));
using IntVector = std::int32_t __attribute__((vector_size(16)));
using UnsignedVector = std::uint32_t __attribute__((vector_size(16)));

struct Vec {
  FloatVector v;
};
struct Words {
  UnsignedVector v;
};

inline Vec operator+(Vec a, Vec b) {
  return {a.v + b.v};
}
inline Vec operator-(Vec a, Vec b) {
  return {a.v - b.v};
}
inline Vec operator*(Vec a, Vec b) {
  return {a.v * b.v};
}
inline Vec operator/(Vec a, Vec b) {
  return {a.v / b.v};
}
// The compiler fuses this where the processor can (-ffp-contract=fast).
inline Vec fma(Vec a, Vec b, Vec c) {
  return {a.v * b.v + c.v};
}
inline Vec fnma(Vec a, Vec b, Vec c) {
  return {c.v - a.v * b.v};
}
inline Vec max(Vec a, Vec b) {
  return {a.v > b.v ? a.v : b.v};
}
inline Vec min(Vec a, Vec b) {
  return {a.v < b.v ? a.v : b.v};
}

inline Vec zero() {
  return {FloatVector{0, 0, 0, 0}};
}
inline Vec broadcast(float x) {
  return {FloatVector{x, x, x, x}};
}
inline Vec broadcast_load(const float* p) {
  return broadcast(*p);
}
inline Vec load(const float* p) {
  Vec x;
  __builtin_memcpy(&x.v, p, sizeof(x.v));
  return x;
}
inline void store(float* p, Vec x) {
  __builtin_memcpy(p, &x.v, sizeof(x.v));
}
inline Vec load_n(const float* p, int n) {
  Vec x = zero();
  for (int i = 0; i < n; ++i) x.v[i] = p[i];
  return x;
}
inline void store_n(float* p, Vec x, int n) {
  for (int i = 0; i < n; ++i) p[i] = x.v[i];
}
inline Vec keep_n(Vec x, int n) {
  for (int i = n; i < kLanes; ++i) x.v[i] = 0;
  return x;
}

inline float sum(Vec x) {
  return (x.v[0] + x.v[2]) + (x.v[1] + x.v[3]);
}

inline FloatVector as_floats(UnsignedVector bits) {
  FloatVector x;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}
inline UnsignedVector as_bits(FloatVector x) {
  UnsignedVector bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return bits;
}

inline Words load_words(const void* p) {
  Words w;
  __builtin_memcpy(&w.v, p, sizeof(w.v));
  return w;
}
inline Vec low_bf16(Words w) {
  return {as_floats(w.v << 16)};
}
inline Vec high_bf16(Words w) {
  return {as_floats(w.v & 0xffff0000U)};
}
inline UnsignedVector load_halves(const std::uint16_t* p) {
  std::uint16_t h[kLanes] = {};
  if (p != nullptr) __builtin_memcpy(h, p, sizeof(h));
  return UnsignedVector{h[0], h[1], h[2], h[3]};
}
inline Vec join_halves(const std::uint16_t* low, const std::uint16_t* high) {
  return {as_floats(load_halves(low) | (load_halves(high) << 16))};
}
inline Vec load_f16(const std::uint16_t* p) {
  const UnsignedVector half = load_halves(p);
  const UnsignedVector sign = (half & 0x8000U) << 16;
  // The half's exponent field read as a float's is 2^-112 too small; multiplying corrects it
  // exactly, subnormals included. Infinity and NaN keep an exponent of ones.
  const FloatVector size = as_floats((half & 0x7fffU) << 13) * 0x1p112F;
  const UnsignedVector special =
      (half & 0x7c00U) == 0x7c00U ? UnsignedVector{} + 0x7f800000U : UnsignedVector{};
  return {as_floats(as_bits(size) | special | sign)};
}

inline Vec low_bits_as_exponent(Vec x) {
  return {as_floats(as_bits(x.v) << 23)};
}
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) {
  return {a.v < b.v ? x.v : y.v};
}

inline Vec even_twice(Vec x) {
  return {__builtin_shufflevector(x.v, x.v, 0, 0, 2, 2)};
}
inline Vec odd_twice(Vec x) {
  return {__builtin_shufflevector(x.v, x.v, 1, 1, 3, 3)};
}
inline Vec swap_pairs(Vec x) {
  return {__builtin_shufflevector(x.v, x.v, 1, 0, 3, 2)};
}
inline Vec negate_even(Vec x) {
  return {as_floats(as_bits(x.v) ^ UnsignedVector{0x80000000U, 0, 0x80000000U, 0})};
}
inline void deinterleave(Vec a, Vec b, Vec& even, Vec& odd) {
  even = {__builtin_shufflevector(a.v, b.v, 0, 2, 4, 6)};
  odd = {__builtin_shufflevector(a.v, b.v, 1, 3, 5, 7)};
}
inline void transpose(Vec (&r)[kLanes]) {
  const FloatVector ab_low = __builtin_shufflevector(r[0].v, r[1].v, 0, 4, 1, 5);
  const FloatVector ab_high = __builtin_shufflevector(r[0].v, r[1].v, 2, 6, 3, 7);
  const FloatVector cd_low = __builtin_shufflevector(r[2].v, r[3].v, 0, 4, 1, 5);
  const FloatVector cd_high = __builtin_shufflevector(r[2].v, r[3].v, 2, 6, 3, 7);
  r[0].v = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  r[1].v = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  r[2].v = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  r[3].v = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

inline Words no_words() {
  return {UnsignedVector{0, 0, 0, 0}};
}
inline Words broadcast_word(const std::uint32_t* p) {
  return {UnsignedVector{*p, *p, *p, *p}};
}
// Products of halves need 32 bits, sums of two of them as well.
inline Words dot_int16(Words sum, Words x, Words w) {
  const auto sx = reinterpret_cast<IntVector>(x.v);
  const auto sw = reinterpret_cast<IntVector>(w.v);
  const IntVector low = ((sx << 16) >> 16) * ((sw << 16) >> 16);
  const IntVector high = (sx >> 16) * (sw >> 16);
  return {sum.v + reinterpret_cast<UnsignedVector>(low) + reinterpret_cast<UnsignedVector>(high)};
}
inline Words dot_int8(Words sum, Words x, Words w) {
  const auto sw = reinterpret_cast<IntVector>(w.v);
  for (int byte = 0; byte < 4; ++byte) {
    const auto ux = reinterpret_cast<IntVector>((x.v >> (8 * byte)) & 255U);
    sum.v += reinterpret_cast<UnsignedVector>(ux * ((sw << (24 - 8 * byte)) >> 24));
  }
  return sum;
}
inline Vec dot_bf16(Vec sum, Words x, Words w) {
  return fma(high_bf16(x), high_bf16(w), fma(low_bf16(x), low_bf16(w), sum));
}
inline Vec to_floats(Words w) {
  return {__builtin_convertvector(reinterpret_cast<IntVector>(w.v), FloatVector)};
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
