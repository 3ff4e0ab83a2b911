// The vector type that the CPU kernels are written on. A kernel file kernels/<isa>.cc defines
// ZIMAGE_CPU_LANES (16: AVX-512, 8: AVX2 with FMA, 4: portable) before including it; everything
// then lives in a namespace of that instruction set, so that the same inline function compiled
// twice has two names and the linker cannot mix them. For that reason nothing here includes a
// standard header with code.
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(ZIMAGE_CPU_LANES)
#error "define ZIMAGE_CPU_LANES as 16, 8 or 4 before including simd.h"
#elif ZIMAGE_CPU_LANES == 16
#if !defined(ZIMAGE_CPU_ISA)
#define ZIMAGE_CPU_ISA avx512
#endif
#include "backend/cpu/kernels/simd_avx512.h"
#elif ZIMAGE_CPU_LANES == 8
#define ZIMAGE_CPU_ISA avx2
#include "backend/cpu/kernels/simd_avx2.h"
#else
#define ZIMAGE_CPU_ISA portable
#include "backend/cpu/kernels/simd_portable.h"
#endif

// Each of the three headers defines, with the same meaning:
//   kLanes                      floats in a Vec
//   Vec                         kLanes floats; + - * / between two
//   load(p), store(p, x)        unaligned
//   load_n(p, n)                the first n lanes, 0 <= n < kLanes; the others are 0
//   store_n(p, x, n)            the first n lanes
//   keep_n(x, n)                x with 0 in the lanes from n on
//   zero(), broadcast(x)        the same number in every lane; broadcast_load(p)
//   fma(a, b, c)                a b + c; fnma(a, b, c): c - a b
//   max(a, b), min(a, b)        b where either is NaN
//   sum(x)                      over the lanes
//   Words                       kLanes 32-bit words, each two bf16 numbers; load_words(p)
//   low_bf16(w), high_bf16(w)   the lower or upper halves as floats
//   join_halves(low, high)      words as the bits of a Vec, from two rows of kLanes halves;
//                               a null row is zeros
//   load_f16(p)                 kLanes f16 numbers, widened exactly
//   low_bits_as_exponent(x)     the float whose exponent field is the lowest eight bits of x
//   select_less(a, b, x, y)     per lane a < b ? x : y
//   even_twice(x)               x0 x0 x2 x2 ..; odd_twice(x): x1 x1 x3 x3 ..
//   swap_pairs(x)               x1 x0 x3 x2 ..
//   negate_even(x)              -x0 x1 -x2 x3 ..
//   deinterleave(a, b, e, o)    the even and the odd ones of the 2 kLanes numbers a b
//   transpose(rows)             a kLanes x kLanes block, in place
//   no_words()                  zeros
//   broadcast_word(p)           the word at p in every lane
//   dot_int16(s, x, w)          s + the products of a word's two int16 numbers, in int32
//   dot_int8(s, x, w)           s + those of its four int8 numbers in w and unsigned ones in x
//   dot_bf16(s, x, w)           s + those of its two bf16 numbers, in f32
//   to_floats(w)                int32 words as floats
namespace zimage::cpu::ZIMAGE_CPU_ISA {

// Adding this leaves no fraction bits, so it rounds to an integer n and puts n + 127, the exponent
// field of 2^n, into the lowest bits.
constexpr float kExponentMagic = 0x1.8p23F + 127.F;

// e^x within 1.5 ulp on [-87, 88], the value at the bound beyond them; NaN stays NaN.
inline Vec exp(Vec x) {
  x = min(broadcast(88.F), max(broadcast(-87.F), x));
  const Vec magic = broadcast(kExponentMagic);
  const Vec shifted = fma(x, broadcast(1.44269504F), magic);
  const Vec n = shifted - magic;
  // ln 2 in two parts; the upper one has few enough bits that n times it is exact.
  Vec r = fnma(n, broadcast(0.693359375F), x);
  r = fnma(n, broadcast(-2.12194440e-4F), r);
  // Minimax for (e^r - 1 - r) / r^2 on [-ln2/2, ln2/2], relative error of e^r 3e-9.
  Vec q = broadcast(0.00138145433569F);
  q = fma(q, r, broadcast(0.00836874503356F));
  q = fma(q, r, broadcast(0.0416683907212F));
  q = fma(q, r, broadcast(0.166665203999F));
  q = fma(q, r, broadcast(0.499999934324F));
  q = fma(q * r, r, r) + broadcast(1.F);
  return q * low_bits_as_exponent(shifted);
}

// 2^x for x <= 0 within 1.5 ulp; 0 below -126.5; NaN stays NaN.
inline Vec exp2_nonpositive(Vec x) {
  x = max(broadcast(-127.F), x);
  const Vec magic = broadcast(kExponentMagic);
  const Vec shifted = x + magic;
  const Vec f = x - (shifted - magic);
  // Minimax for (2^f - 1) / f on [-1/2, 1/2], relative error of 2^f 2e-9.
  Vec q = broadcast(0.000153532572944F);
  q = fma(q, f, broadcast(0.00133990033765F));
  q = fma(q, f, broadcast(0.00961843860265F));
  q = fma(q, f, broadcast(0.055503321632F));
  q = fma(q, f, broadcast(0.240226478969F));
  q = fma(q, f, broadcast(0.693147202985F));
  q = fma(q, f, broadcast(1.F));
  return q * low_bits_as_exponent(shifted);
}

// x / (1 + e^-x).
inline Vec silu(Vec x) {
  return x / (broadcast(1.F) + exp(zero() - x));
}

// Within 2 ulp: an odd polynomial near 0, where 1 - e^-2|x| would cancel, the exponential beyond.
inline Vec tanh(Vec x) {
  const Vec size = max(zero() - x, x);
  const Vec z = x * x;
  Vec q = broadcast(-0.00570261613234F);
  q = fma(q, z, broadcast(0.0206370505066F));
  q = fma(q, z, broadcast(-0.0537391190977F));
  q = fma(q, z, broadcast(0.133314354285F));
  q = fma(q, z, broadcast(-0.333332817077F));
  const Vec near = fma(q * z, x, x);
  const Vec e = exp(broadcast(-2.F) * size);
  const Vec far = (broadcast(1.F) - e) / (broadcast(1.F) + e);
  const Vec signed_far = select_less(x, zero(), zero() - far, far);
  return select_less(size, broadcast(0.625F), near, signed_far);
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
