// Weights from rows to panels, and the loops that measure the machine. Included by kernel files
// only.
#pragma once

#include "backend/cpu/kernels/dot_pack.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/pack_rows.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/tile.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// kLanes steps of the depth at once: word vectors of kLanes rows, turned by a transposition.
inline void pack_bf16_block(std::uint16_t* out, const void* const* rows, std::size_t k) {
  Vec words[kLanes];
  for (int j = 0; j < kLanes; ++j) {
    const auto* low = static_cast<const std::uint16_t*>(rows[j]);
    const auto* high = static_cast<const std::uint16_t*>(rows[j + kLanes]);
    words[j] =
        join_halves(low == nullptr ? nullptr : low + k, high == nullptr ? nullptr : high + k);
  }
  transpose(words);
  for (std::size_t j = 0; j < kLanes; ++j) {
    store(reinterpret_cast<float*>(out + (k + j) * kTileColumns), words[j]);
  }
}

inline void pack_panel(const PackPanelArgs& args) {
  const std::size_t blocks = args.depth / kLanes * kLanes;
  switch (args.format) {
    case PanelFormat::Int16: return pack_dot_panel<Int16Format>(args);
    case PanelFormat::Int8: return pack_dot_panel<Int8Format>(args);
    case PanelFormat::Bf16Pairs: return pack_dot_panel<Bf16Format>(args);
    default: break;
  }
  if (args.format == PanelFormat::F32) {
    return pack_f32_rows(static_cast<float*>(args.panel), args.rows, args.depth);
  }
  std::size_t k = 0;
  auto* out = static_cast<std::uint16_t*>(args.panel);
  const bool words = args.format == PanelFormat::Bf16;
  if (words) {
    for (; k < blocks; k += kLanes) pack_bf16_block(out, args.rows, k);
  }
  for (; k < args.depth; ++k) {
    for (std::size_t j = 0; j < kTileColumns; ++j) {
      // Place j of a bf16 row is half j % 2 of word j / 2.
      const std::size_t row = words ? j / 2 + (j % 2) * kLanes : j;
      out[k * kTileColumns + j] = number_at<std::uint16_t>(args.rows[row], k);
    }
  }
}

inline double fma_burst(std::size_t steps, float* sink) {
  // As many chains as the matrix kernels have, so that neither latency nor the loop limits it.
  constexpr std::size_t kChains = 2 * kTileRows;
  Vec sums[kChains];
  const Vec factor = broadcast(0.99F);
  const Vec term = broadcast(0.01F);
#pragma GCC unroll 32
  for (std::size_t i = 0; i < kChains; ++i) sums[i] = broadcast(static_cast<float>(i));
  for (std::size_t s = 0; s < steps; ++s) {
#pragma GCC unroll 32
    for (std::size_t i = 0; i < kChains; ++i) sums[i] = fma(sums[i], factor, term);
  }
  Vec total = sums[0];
#pragma GCC unroll 32
  for (std::size_t i = 1; i < kChains; ++i) total = total + sums[i];
  *sink = sum(total);
  return 2.0 * static_cast<double>(steps * kChains * kLanes);
}

inline float read_sum(const float* x, std::size_t n) {
  Vec sums[4] = {zero(), zero(), zero(), zero()};
  std::size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j) sums[j] = sums[j] + load(x + i + j * kLanes);
  }
  float total = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < n; ++i) total += x[i];
  return total;
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
