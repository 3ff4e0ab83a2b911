// Group normalisation of feature maps [pixels][channels]. Included by kernel files only (simd.h).
#pragma once

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/row_kernels.h"
#include "backend/cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// out[c] = sum over pixels of term(x[pixel][c] block, c, n); kWidth vectors of channels at a time,
// so that their sums stay in registers.
template <class Term>
inline void sum_channels(float* out, const GroupStatsArgs& args, const Term& term) {
  constexpr std::size_t kWidth = 4;
  std::size_t c = 0;
  for (; c + kWidth * kLanes <= args.channels; c += kWidth * kLanes) {
    Vec sums[kWidth] = {zero(), zero(), zero(), zero()};
    for (std::size_t p = 0; p < args.pixels; ++p) {
      const float* x = args.x + p * args.channels + c;
#pragma GCC unroll 4
      for (std::size_t j = 0; j < kWidth; ++j) {
        sums[j] = term(load(x + j * kLanes), c + j * kLanes, kLanes, sums[j]);
      }
    }
#pragma GCC unroll 4
    for (std::size_t j = 0; j < kWidth; ++j) store(out + c + j * kLanes, sums[j]);
  }
  each_block(args.channels - c, [&](std::size_t i, int n) {
    Vec total = zero();
    for (std::size_t p = 0; p < args.pixels; ++p) {
      total = term(load_some(args.x + p * args.channels + c + i, n), c + i, n, total);
    }
    store_some(out + c + i, total, n);
  });
}

// Mean and sum of squared deviations of each group over a piece of the map that stays in the second
// cache: deviations from the piece's own mean, which do not cancel as the difference of two large
// sums would.
inline void group_stats(const GroupStatsArgs& args) {
  float* sums = args.scratch;
  float* means = args.scratch + args.channels;
  const std::size_t width = args.channels / args.groups;
  const double count = static_cast<double>(width) * static_cast<double>(args.pixels);
  sum_channels(sums, args, [](Vec v, std::size_t, int, Vec s) { return s + v; });
  for (std::size_t g = 0; g < args.groups; ++g) {
    double total = 0;
    for (std::size_t c = g * width; c < (g + 1) * width; ++c) total += static_cast<double>(sums[c]);
    args.mean[g] = total / count;
    for (std::size_t c = g * width; c < (g + 1) * width; ++c) {
      means[c] = static_cast<float>(args.mean[g]);
    }
  }
  sum_channels(sums, args, [&](Vec v, std::size_t c, int n, Vec s) {
    const Vec d = v - load_some(means + c, n);
    return fma(d, d, s);
  });
  for (std::size_t g = 0; g < args.groups; ++g) {
    double squares = 0;
    for (std::size_t c = g * width; c < (g + 1) * width; ++c) {
      squares += static_cast<double>(sums[c]);
    }
    // The deviations were taken from the mean rounded to float.
    const double rounding = args.mean[g] - static_cast<double>(means[g * width]);
    args.squares[g] = squares - count * rounding * rounding;
  }
}

// out = activation((x - mean) * factor + bias), the three per channel.
inline void group_apply(const GroupApplyArgs& args) {
  for (std::size_t p = 0; p < args.pixels; ++p) {
    const float* x = args.x + p * args.channels;
    float* out = args.out + p * args.channels;
    each_block(args.channels, [&](std::size_t c, int n) {
      const Vec centered = load_some(x + c, n) - load_some(args.mean + c, n);
      Vec value = fma(centered, load_some(args.factor + c, n), load_some(args.bias + c, n));
      if (args.silu) value = silu(value);
      store_some(out + c, value, n);
    });
  }
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
