// Sixteen floats in an AVX-512 register (F, BW, DQ, VL). The operations are listed in simd.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace zimage::cpu::ZIMAGE_CPU_ISA {

constexpr int kLanes = 16;

struct Vec {
  __m512 v;
};
struct Words {
  __m512i v;
};

inline Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Vec fnma(Vec a, Vec b, Vec c) {
  return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}
inline Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}

inline Vec zero() {
  return {_mm512_setzero_ps()};
}
inline Vec broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
inline Vec broadcast_load(const float* p) {
  return {_mm512_set1_ps(*p)};
}
inline Vec load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline void store(float* p, Vec x) {
  _mm512_storeu_ps(p, x.v);
}

inline __mmask16 first_lanes(int n) {
  return static_cast<__mmask16>((1U << n) - 1U);
}
inline Vec load_n(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
inline void store_n(float* p, Vec x, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), x.v);
}
inline Vec keep_n(Vec x, int n) {
  return {_mm512_maskz_mov_ps(first_lanes(n), x.v)};
}

inline float sum(Vec x) {
  const __m256 upper = _mm512_extractf32x8_ps(x.v, 1);
  const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(x.v), upper);
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

inline Words load_words(const void* p) {
  return {_mm512_loadu_si512(p)};
}
inline Vec low_bf16(Words w) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(w.v, 16))};
}
inline Vec high_bf16(Words w) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000U));
  return {_mm512_castsi512_ps(_mm512_and_si512(w.v, upper))};
}
inline __m512i widen_halves(const std::uint16_t* p) {
  if (p == nullptr) return _mm512_setzero_si512();
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Vec join_halves(const std::uint16_t* low, const std::uint16_t* high) {
  const __m512i upper = _mm512_slli_epi32(widen_halves(high), 16);
  return {_mm512_castsi512_ps(_mm512_or_si512(widen_halves(low), upper))};
}
inline Vec load_f16(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}

inline Vec low_bits_as_exponent(Vec x) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x.v), 23))};
}
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}

inline Vec even_twice(Vec x) {
  return {_mm512_moveldup_ps(x.v)};
}
inline Vec odd_twice(Vec x) {
  return {_mm512_movehdup_ps(x.v)};
}
inline Vec swap_pairs(Vec x) {
  return {_mm512_permute_ps(x.v, 0xb1)};
}
inline Vec negate_even(Vec x) {
  return {_mm512_xor_ps(x.v, _mm512_castsi512_ps(_mm512_set1_epi64(0x80000000LL)))};
}
inline void deinterleave(Vec a, Vec b, Vec& even, Vec& odd) {
  const __m512i first =
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(1));
  even = {_mm512_permutex2var_ps(a.v, first, b.v)};
  odd = {_mm512_permutex2var_ps(a.v, second, b.v)};
}

// Unpacking joins rows two by two and four by four within 128-bit quarters; two rounds of quarter
// shuffles then bring the quarters to their rows.
inline void transpose(Vec (&r)[kLanes]) {
  __m512 pair[16];
  __m512 quad[16];
  for (int i = 0; i < 16; i += 2) {
    pair[i] = _mm512_unpacklo_ps(r[i].v, r[i + 1].v);
    pair[i + 1] = _mm512_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  for (int i = 0; i < 16; i += 4) {
    quad[i] = _mm512_shuffle_ps(pair[i], pair[i + 2], 0x44);
    quad[i + 1] = _mm512_shuffle_ps(pair[i], pair[i + 2], 0xee);
    quad[i + 2] = _mm512_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
    quad[i + 3] = _mm512_shuffle_ps(pair[i + 1], pair[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    // Quarter q of quad[i + 4 g] is column 4 q + i of rows 4 g .. 4 g + 3.
    const __m512 low01 = _mm512_shuffle_f32x4(quad[i], quad[i + 4], 0x88);
    const __m512 low23 = _mm512_shuffle_f32x4(quad[i + 8], quad[i + 12], 0x88);
    const __m512 high01 = _mm512_shuffle_f32x4(quad[i], quad[i + 4], 0xdd);
    const __m512 high23 = _mm512_shuffle_f32x4(quad[i + 8], quad[i + 12], 0xdd);
    r[i].v = _mm512_shuffle_f32x4(low01, low23, 0x88);
    r[i + 8].v = _mm512_shuffle_f32x4(low01, low23, 0xdd);
    r[i + 4].v = _mm512_shuffle_f32x4(high01, high23, 0x88);
    r[i + 12].v = _mm512_shuffle_f32x4(high01, high23, 0xdd);
  }
}

inline Words no_words() {
  return {_mm512_setzero_si512()};
}
inline Words broadcast_word(const std::uint32_t* p) {
  return {_mm512_set1_epi32(static_cast<int>(*p))};
}
inline Words dot_int16(Words sum, Words x, Words w) {
#if defined(__AVX512VNNI__)
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum.v) : "v"(x.v), "v"(w.v));
  return sum;
#else
  __m512i total = _mm512_add_epi32(sum.v, _mm512_madd_epi16(x.v, w.v));
  // Otherwise compilers add the products of two steps first, for which there are no registers.
  __asm__("" : "+v"(total));
  return {total};
#endif
}
inline Words dot_int8(Words sum, Words x, Words w) {
#if defined(__AVX512VNNI__)
  // With the intrinsic GCC 12 keeps most of a tile's sums in memory.
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.v) : "v"(x.v), "v"(w.v));
  return sum;
#else
  // In two steps of 16 bits: the instruction that multiplies bytes saturates.
  const __m512i even_x = _mm512_and_si512(x.v, _mm512_set1_epi16(255));
  const __m512i even_w = _mm512_srai_epi16(_mm512_slli_epi16(w.v, 8), 8);
  const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(x.v, 8), _mm512_srai_epi16(w.v, 8));
  return {_mm512_add_epi32(sum.v, _mm512_add_epi32(_mm512_madd_epi16(even_x, even_w), odd))};
#endif
}
inline Vec dot_bf16(Vec sum, Words x, Words w) {
#if defined(__AVX512BF16__)
  return {
      _mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(x.v), reinterpret_cast<__m512bh>(w.v))};
#else
  return fma(high_bf16(x), high_bf16(w), fma(low_bf16(x), low_bf16(w), sum));
#endif
}
inline Vec to_floats(Words w) {
  return {_mm512_cvtepi32_ps(w.v)};
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
