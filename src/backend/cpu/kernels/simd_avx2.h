// Eight floats in an AVX2 register. The operations and their meaning are listed in simd.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace zimage::cpu::ZIMAGE_CPU_ISA {

constexpr int kLanes = 8;

struct Vec {
  __m256 v;
};
struct Words {
  __m256i v;
};

inline Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.v, b.v)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.v, b.v)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
inline Vec fnma(Vec a, Vec b, Vec c) {
  return {_mm256_fnmadd_ps(a.v, b.v, c.v)};
}
inline Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.v, b.v)};
}
inline Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.v, b.v)};
}

inline Vec zero() {
  return {_mm256_setzero_ps()};
}
inline Vec broadcast(float x) {
  return {_mm256_set1_ps(x)};
}
inline Vec broadcast_load(const float* p) {
  return {_mm256_broadcast_ss(p)};
}
inline Vec load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
inline void store(float* p, Vec x) {
  _mm256_storeu_ps(p, x.v);
}

inline __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load_n(const float* p, int n) {
  return {_mm256_maskload_ps(p, first_lanes(n))};
}
inline void store_n(float* p, Vec x, int n) {
  _mm256_maskstore_ps(p, first_lanes(n), x.v);
}
inline Vec keep_n(Vec x, int n) {
  return {_mm256_and_ps(x.v, _mm256_castsi256_ps(first_lanes(n)))};
}

inline float sum(Vec x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

inline Words load_words(const void* p) {
  return {_mm256_loadu_si256(static_cast<const __m256i*>(p))};
}
inline Vec low_bf16(Words w) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(w.v, 16))};
}
inline Vec high_bf16(Words w) {
  const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000U));
  return {_mm256_castsi256_ps(_mm256_and_si256(w.v, upper))};
}
inline __m256i widen_halves(const std::uint16_t* p) {
  if (p == nullptr) return _mm256_setzero_si256();
  return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Vec join_halves(const std::uint16_t* low, const std::uint16_t* high) {
  const __m256i upper = _mm256_slli_epi32(widen_halves(high), 16);
  return {_mm256_castsi256_ps(_mm256_or_si256(widen_halves(low), upper))};
}
inline Vec load_f16(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}

inline Vec low_bits_as_exponent(Vec x) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x.v), 23))};
}
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) {
  return {_mm256_blendv_ps(y.v, x.v, _mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ))};
}

inline Vec even_twice(Vec x) {
  return {_mm256_moveldup_ps(x.v)};
}
inline Vec odd_twice(Vec x) {
  return {_mm256_movehdup_ps(x.v)};
}
inline Vec swap_pairs(Vec x) {
  return {_mm256_permute_ps(x.v, 0xb1)};
}
inline Vec negate_even(Vec x) {
  return {_mm256_xor_ps(x.v, _mm256_castsi256_ps(_mm256_set1_epi64x(0x80000000LL)))};
}
inline void deinterleave(Vec a, Vec b, Vec& even, Vec& odd) {
  const __m256d e = _mm256_castps_pd(_mm256_shuffle_ps(a.v, b.v, 0x88));
  const __m256d o = _mm256_castps_pd(_mm256_shuffle_ps(a.v, b.v, 0xdd));
  even = {_mm256_castpd_ps(_mm256_permute4x64_pd(e, 0xd8))};
  odd = {_mm256_castpd_ps(_mm256_permute4x64_pd(o, 0xd8))};
}

inline void transpose(Vec (&r)[kLanes]) {
  __m256 pair[8];
  __m256 quad[8];
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_ps(r[i].v, r[i + 1].v);
    pair[i + 1] = _mm256_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4) {
    quad[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
    quad[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xee);
    quad[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
    quad[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    r[i].v = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x20);
    r[i + 4].v = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x31);
  }
}

inline Words no_words() {
  return {_mm256_setzero_si256()};
}
inline Words broadcast_word(const std::uint32_t* p) {
  return {_mm256_castps_si256(_mm256_broadcast_ss(reinterpret_cast<const float*>(p)))};
}
inline Words dot_int16(Words sum, Words x, Words w) {
  __m256i total = _mm256_add_epi32(sum.v, _mm256_madd_epi16(x.v, w.v));
  // Otherwise compilers add the products of two steps first, for which there are no registers.
  __asm__("" : "+x"(total));
  return {total};
}
// In two steps of 16 bits: the instruction that multiplies bytes saturates.
inline Words dot_int8(Words sum, Words x, Words w) {
  const __m256i even_x = _mm256_and_si256(x.v, _mm256_set1_epi16(255));
  const __m256i even_w = _mm256_srai_epi16(_mm256_slli_epi16(w.v, 8), 8);
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x.v, 8), _mm256_srai_epi16(w.v, 8));
  return {_mm256_add_epi32(sum.v, _mm256_add_epi32(_mm256_madd_epi16(even_x, even_w), odd))};
}
inline Vec dot_bf16(Vec sum, Words x, Words w) {
  return fma(high_bf16(x), high_bf16(w), fma(low_bf16(x), low_bf16(w), sum));
}
inline Vec to_floats(Words w) {
  return {_mm256_cvtepi32_ps(w.v)};
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
