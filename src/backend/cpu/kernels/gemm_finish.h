// What happens to the finished sums of a product while they are in the first cache: bias, SiLU,
// SwiGLU, residual. Included by kernel files only (simd.h).
#pragma once

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/tile.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

constexpr std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}
constexpr std::size_t round_up(std::size_t a, std::size_t b) {
  return ceil_div(a, b) * b;
}
constexpr std::size_t smaller(std::size_t a, std::size_t b) {
  return a < b ? a : b;
}

// n of the columns of one row of a linear product, n <= kLanes.
inline void finish_columns(const GemmArgs& args, float* out, Vec x, std::size_t column, int n) {
  if (n == kLanes) {
    if (args.bias != nullptr) x = x + load(args.bias + column);
    if (args.silu) x = silu(x);
    if (args.accumulate) x = x + load(out);
    store(out, x);
  } else {
    if (args.bias != nullptr) x = x + load_n(args.bias + column, n);
    if (args.silu) x = silu(x);
    if (args.accumulate) x = x + load_n(out, n);
    store_n(out, x, n);
  }
}

inline void finish_linear(const GemmArgs& args, const float* sums, std::size_t row,
                          std::size_t rows, std::size_t panel) {
  const std::size_t column = panel * kTileColumns;
  const std::size_t left = smaller(args.columns - column, kTileColumns);
  const auto first = static_cast<int>(smaller(left, kLanes));
  const int second = static_cast<int>(left) - first;
  for (std::size_t r = 0; r < rows; ++r) {
    float* out = args.out + (row + r) * args.out_stride + column;
    const float* from = sums + r * kTileColumns;
    finish_columns(args, out, load(from), column, first);
    if (second > 0)
      finish_columns(args, out + kLanes, load(from + kLanes), column + kLanes, second);
  }
}

inline void finish_gate_up(const GemmArgs& args, const float* sums, std::size_t row,
                           std::size_t rows, std::size_t panel) {
  const std::size_t column = panel * kLanes;
  const auto left = static_cast<int>(smaller(args.columns - column, kLanes));
  for (std::size_t r = 0; r < rows; ++r) {
    float* out = args.out + (row + r) * args.out_stride + column;
    const Vec gate = load(sums + r * kTileColumns);
    const Vec up = load(sums + r * kTileColumns + kLanes);
    const Vec x = silu(gate) * up;
    if (left == kLanes) {
      store(out, x);
    } else {
      store_n(out, x, left);
    }
  }
}

inline void finish(const GemmArgs& args, const float* sums, std::size_t row, std::size_t rows,
                   std::size_t panel) {
  if (args.gate_up) {
    finish_gate_up(args, sums, row, rows, panel);
  } else {
    finish_linear(args, sums, row, rows, panel);
  }
}

// Asks for the lines that finish() will write, so that the tile hides their way from memory.
inline void prefetch_out(const GemmArgs& args, std::size_t row, std::size_t rows,
                         std::size_t panel) {
  const float* out =
      args.out + row * args.out_stride + panel * (args.gate_up ? kLanes : kTileColumns);
  for (std::size_t r = 0; r < rows; ++r) __builtin_prefetch(out + r * args.out_stride, 1);
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
