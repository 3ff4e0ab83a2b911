// Operations on rows of activations: norms, rotation, element-wise steps. Each row is read once
// from memory and stays in the first cache. Included by kernel files only (simd.h).
#pragma once

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// Calls step(i, n) for blocks of n = kLanes elements, then once for the 0 < n < kLanes that remain.
template <class Step>
inline void each_block(std::size_t size, const Step& step) {
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) step(i, kLanes);
  if (i < size) step(i, static_cast<int>(size - i));
}
inline Vec load_some(const float* p, int n) {
  return n == kLanes ? load(p) : load_n(p, n);
}
inline void store_some(float* p, Vec x, int n) {
  if (n == kLanes) {
    store(p, x);
  } else {
    store_n(p, x, n);
  }
}

// The sum of term(x block) over a row, in four chains.
template <class Term>
inline float sum_row(const float* x, std::size_t size, const Term& term) {
  Vec sums[4] = {zero(), zero(), zero(), zero()};
  std::size_t i = 0;
  for (; i + 4 * kLanes <= size; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j) sums[j] = term(load(x + i + j * kLanes), kLanes, sums[j]);
  }
  each_block(size - i,
             [&](std::size_t j, int n) { sums[0] = term(load_some(x + i + j, n), n, sums[0]); });
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

inline float inverse_root(float mean_square, float eps) {
  return 1.F / __builtin_sqrtf(mean_square + eps);
}

// Padding lanes of a partial block are zero and add nothing.
inline float inverse_rms(const float* x, std::size_t size, float eps) {
  const float squares = sum_row(x, size, [](Vec v, int, Vec s) { return fma(v, v, s); });
  return inverse_root(squares / static_cast<float>(size), eps);
}

inline void rms_norm(const NormRowsArgs& args) {
  for (std::size_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.dim;
    float* out = args.out + r * args.dim;
    const Vec factor = broadcast(inverse_rms(x, args.dim, args.eps));
    each_block(args.dim, [&](std::size_t i, int n) {
      Vec weight = load_some(args.weight + i, n);
      if (args.scale != nullptr) weight = fma(weight, load_some(args.scale + i, n), weight);
      store_some(out + i, load_some(x + i, n) * factor * weight, n);
    });
  }
}

inline void layer_norm(const NormRowsArgs& args) {
  const auto size = static_cast<float>(args.dim);
  for (std::size_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.dim;
    float* out = args.out + r * args.dim;
    const float total = sum_row(x, args.dim, [](Vec v, int, Vec s) { return s + v; });
    const Vec mean = broadcast(total / size);
    const float squares = sum_row(x, args.dim, [&](Vec v, int n, Vec s) {
      const Vec c = n == kLanes ? v - mean : keep_n(v - mean, n);
      return fma(c, c, s);
    });
    const Vec factor = broadcast(inverse_root(squares / size, args.eps));
    each_block(args.dim, [&](std::size_t i, int n) {
      Vec value = (load_some(x + i, n) - mean) * factor;
      if (args.scale != nullptr) value = fma(value, load_some(args.scale + i, n), value);
      store_some(out + i, value, n);
    });
  }
}

// Rows are taken a few at a time, so that tanh(gate) weight is computed once for all of them and
// needs no memory beyond a block.
inline void add_gated_rms_norm(const GatedRowsArgs& args) {
  constexpr std::size_t kRows = 8;
  for (std::size_t first = 0; first < args.rows; first += kRows) {
    const std::size_t rows = first + kRows < args.rows ? kRows : args.rows - first;
    const float* y = args.y + first * args.dim;
    float* x = args.x + first * args.dim;
    float factors[kRows];
    for (std::size_t r = 0; r < rows; ++r) {
      factors[r] = inverse_rms(y + r * args.dim, args.dim, args.eps);
    }
    each_block(args.dim, [&](std::size_t i, int n) {
      Vec weight = load_some(args.weight + i, n);
      if (args.gate != nullptr) weight = weight * tanh(load_some(args.gate + i, n));
      for (std::size_t r = 0; r < rows; ++r) {
        float* target = x + r * args.dim + i;
        const Vec normed = load_some(y + r * args.dim + i, n) * broadcast(factors[r]);
        store_some(target, fma(normed, weight, load_some(target, n)), n);
      }
    });
  }
}

// x and y are a pair, turned by the angle of cosine c and sine s.
inline void rotate_pair(float& x, float& y, float c, float s) {
  const float a = x;
  const float b = y;
  x = a * c - b * s;
  y = a * s + b * c;
}

inline void rotate_interleaved(float* head, const float* weight, Vec factor, const float* angles,
                               std::size_t size) {
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    const Vec x = load(head + i) * factor * load(weight + i);
    const Vec angle = load(angles + i);
    const Vec turned = negate_even(swap_pairs(x)) * odd_twice(angle);
    store(head + i, fma(x, even_twice(angle), turned));
  }
  if (i < size) {
    const int n = static_cast<int>(size - i);
    const Vec x = load_n(head + i, n) * factor * load_n(weight + i, n);
    const Vec angle = load_n(angles + i, n);
    const Vec turned = negate_even(swap_pairs(x)) * odd_twice(angle);
    store_n(head + i, fma(x, even_twice(angle), turned), n);
  }
}

inline void rotate_half_split(float* head, const float* weight, Vec factor, const float* angles,
                              std::size_t size) {
  const std::size_t half = size / 2;
  std::size_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    Vec c;
    Vec s;
    deinterleave(load(angles + 2 * i), load(angles + 2 * i + kLanes), c, s);
    const Vec a = load(head + i) * factor * load(weight + i);
    const Vec b = load(head + half + i) * factor * load(weight + half + i);
    store(head + i, fnma(b, s, a * c));
    store(head + half + i, fma(a, s, b * c));
  }
  float scale[kLanes];
  store(scale, factor);
  for (; i < half; ++i) {
    head[i] *= scale[0] * weight[i];
    head[half + i] *= scale[0] * weight[half + i];
    rotate_pair(head[i], head[half + i], angles[2 * i], angles[2 * i + 1]);
  }
}

inline void qk_norm_rope(const RopeRowsArgs& args) {
  for (std::size_t r = 0; r < args.rows; ++r) {
    float* row = args.qkv + r * args.stride;
    const float* angles = args.cos_sin + r * args.head_dim;
    for (std::size_t h = 0; h < args.heads + args.kv_heads; ++h) {
      float* head = row + h * args.head_dim;
      const float* weight = h < args.heads ? args.q_norm : args.k_norm;
      const Vec factor = broadcast(inverse_rms(head, args.head_dim, args.eps));
      if (args.interleaved) {
        rotate_interleaved(head, weight, factor, angles, args.head_dim);
      } else {
        rotate_half_split(head, weight, factor, angles, args.head_dim);
      }
    }
  }
}

inline void silu_in_place(float* x, std::size_t size) {
  each_block(size, [&](std::size_t i, int n) { store_some(x + i, silu(load_some(x + i, n)), n); });
}

inline void add_scaled(float* x, const float* y, float factor, std::size_t size) {
  const Vec f = broadcast(factor);
  each_block(size, [&](std::size_t i, int n) {
    store_some(x + i, fma(f, load_some(y + i, n), load_some(x + i, n)), n);
  });
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
