// The register tile of all matrix products: up to kTileRows x 2 vectors of sums, kept in registers
// while the products over the depth are added in order. Included by kernel files only (simd.h).
#pragma once

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

constexpr std::size_t kTileColumns = 2 * kLanes;
// Twice as many accumulators as rows, two vectors of the right operand and one broadcast must fit
// in the 16 (AVX2, SSE) or 32 (AVX-512) registers. Six rows also divide Z-Image's 32-row steps
// well.
constexpr std::size_t kTileRows = kLanes == 16 ? 12 : 6;
// Steps of the depth between two prefetches: one a step costs 3 % of the products.
constexpr std::size_t kAheadSteps = 8;
constexpr std::size_t kTileFloats = kTileRows * kTileColumns;

// Left operands: where element (row, k) lies.
struct RowMajor {
  const float* data;
  std::size_t stride;
  const float* at(std::size_t row, std::size_t k) const { return data + row * stride + k; }
};
struct DepthMajor {
  const float* data;
  std::size_t stride;
  const float* at(std::size_t row, std::size_t k) const { return data + k * stride + row; }
};

// Right operands: the two vectors of row k of a panel.
struct Bf16Panel {
  const std::uint16_t* data;
  static constexpr std::size_t kRowBytes = kTileColumns * 2;
  void row(std::size_t k, Vec& first, Vec& second) const {
    const Words words = load_words(data + k * kTileColumns);
    first = low_bf16(words);
    second = high_bf16(words);
  }
};
struct F16Panel {
  const std::uint16_t* data;
  static constexpr std::size_t kRowBytes = kTileColumns * 2;
  void row(std::size_t k, Vec& first, Vec& second) const {
    first = load_f16(data + k * kTileColumns);
    second = load_f16(data + k * kTileColumns + kLanes);
  }
};
struct F32Panel {
  const float* data;
  static constexpr std::size_t kRowBytes = kTileColumns * 4;
  void row(std::size_t k, Vec& first, Vec& second) const {
    first = load(data + k * kTileColumns);
    second = load(data + k * kTileColumns + kLanes);
  }
};

// One tile: sums[r][c] = or += sum over k of left(r, k) right(k, c).
struct TileArgs {
  std::size_t depth = 0;
  float* sums = nullptr;  // [rows][kTileColumns]
  // Replaces what sums holds instead of adding to it. Adding a block's total rounds less than going
  // on from it would.
  bool start = true;
  // Memory that is needed soon: ahead_step bytes of it, a cache line at least, are fetched every
  // kAheadSteps steps.
  const char* ahead = nullptr;
  std::size_t ahead_step = 0;
};

template <std::size_t kRows, class Left, class Right>
inline void multiply_step(Vec (&sums)[kRows][2], const Left& left, const Right& right,
                          std::size_t k) {
  Vec first;
  Vec second;
  right.row(k, first, second);
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kRows; ++r) {
    const Vec x = broadcast_load(left.at(r, k));
    sums[r][0] = fma(x, first, sums[r][0]);
    sums[r][1] = fma(x, second, sums[r][1]);
  }
}

// Few rows have too few sums to hide the latency of an addition (about 8 are needed), so they keep
// several chains, one for each k modulo the number of chains, added up at the end.
template <std::size_t kRows>
constexpr std::size_t kChains = kRows >= 4   ? 1
                                : kRows >= 2 ? 2
                                             : 4;

template <std::size_t kRows>
[[gnu::always_inline]] inline void clear(Vec (&sums)[kChains<kRows>][kRows][2]) {
#pragma GCC unroll 64
  for (std::size_t i = 0; i < kChains<kRows> * kRows * 2; ++i) {
    sums[i / (2 * kRows)][i / 2 % kRows][i % 2] = zero();
  }
}

template <std::size_t kRows>
[[gnu::always_inline]] inline void finish(float* out, const Vec (&sums)[kChains<kRows>][kRows][2],
                                          bool start) {
#pragma GCC unroll 64
  for (std::size_t i = 0; i < 2 * kRows; ++i) {
    Vec total = sums[0][i / 2][i % 2];
    if constexpr (kChains<kRows> == 2) total = total + sums[1][i / 2][i % 2];
    if constexpr (kChains<kRows> == 4) {
      total = (total + sums[1][i / 2][i % 2]) + (sums[2][i / 2][i % 2] + sums[3][i / 2][i % 2]);
    }
    if (!start) total = total + load(out + i * kLanes);
    store(out + i * kLanes, total);
  }
}

inline void fetch(const char* ahead, std::size_t bytes) {
  __builtin_prefetch(ahead);
  for (std::size_t line = 64; line < bytes; line += 64) __builtin_prefetch(ahead + line);
}

// Never inlined and with operands by value, so that the sums get all registers: inlined into a loop
// they spill, at a third of the speed.
template <std::size_t kRows, class Left, class Right>
[[gnu::noinline]] void tile(const TileArgs& args, Left left, Right right) {
  constexpr std::size_t kUnroll = kChains<kRows> > 2 ? kChains<kRows> : 2;
  Vec sums[kChains<kRows>][kRows][2];
  clear<kRows>(sums);
  const std::size_t depth = args.depth;
  const char* ahead = args.ahead;
  std::size_t k = 0;
  while (k + kAheadSteps <= depth) {
    fetch(ahead, args.ahead_step);
    ahead += args.ahead_step;
    const std::size_t end = k + kAheadSteps;
#pragma GCC unroll 1
    for (; k < end; k += kUnroll) {
#pragma GCC unroll 4
      for (std::size_t u = 0; u < kUnroll; ++u) {
        multiply_step<kRows>(sums[u % kChains<kRows>], left, right, k + u);
      }
    }
  }
  for (; k + kUnroll <= depth; k += kUnroll) {
#pragma GCC unroll 4
    for (std::size_t u = 0; u < kUnroll; ++u) {
      multiply_step<kRows>(sums[u % kChains<kRows>], left, right, k + u);
    }
  }
  for (; k < depth; ++k) multiply_step<kRows>(sums[0], left, right, k);
  finish<kRows>(args.sums, sums, args.start);
}

// tile<rows> for a number of rows known at run time, 1 <= rows <= kTileRows.
template <class Left, class Right>
inline void tile_of(std::size_t rows, const TileArgs& args, Left left, Right right) {
  using Tile = void (*)(const TileArgs&, Left, Right);
  if constexpr (kTileRows == 12) {
    static constexpr Tile kTiles[] = {
        tile<1, Left, Right>, tile<2, Left, Right>,  tile<3, Left, Right>,  tile<4, Left, Right>,
        tile<5, Left, Right>, tile<6, Left, Right>,  tile<7, Left, Right>,  tile<8, Left, Right>,
        tile<9, Left, Right>, tile<10, Left, Right>, tile<11, Left, Right>, tile<12, Left, Right>};
    kTiles[rows - 1](args, left, right);
  } else {
    static constexpr Tile kTiles[] = {tile<1, Left, Right>, tile<2, Left, Right>,
                                      tile<3, Left, Right>, tile<4, Left, Right>,
                                      tile<5, Left, Right>, tile<6, Left, Right>};
    kTiles[rows - 1](args, left, right);
  }
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
