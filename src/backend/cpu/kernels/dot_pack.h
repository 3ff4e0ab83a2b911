// Weights from rows to panels of the dot formats. Included by kernel files only.
#pragma once

#include "backend/cpu/kernels/dot_quantize.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/pack_rows.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/tile.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// n <= kMostDotBlock numbers of a row from `begin` on, widened exactly. Mapped files may hold them
// at odd addresses.
inline void widen_run(float* out, const void* row, std::size_t begin, std::size_t n,
                      PanelFormat source) {
  const char* from = static_cast<const char*>(row) + begin * size_of(source);
  if (source == PanelFormat::F32) {
    __builtin_memcpy(out, from, n * sizeof(float));
    return;
  }
  alignas(64) std::uint16_t halves[kMostDotBlock] = {};
  __builtin_memcpy(halves, from, n * sizeof(std::uint16_t));
  if (source == PanelFormat::Bf16) {
    for (std::size_t i = 0; i < n; ++i) out[i] = float_of(std::uint32_t{halves[i]} << 16U);
    return;
  }
  for (std::size_t i = 0; i < n; i += kLanes) {
    alignas(64) float widened[kLanes];
    store(widened, load_f16(halves + i));
    const std::size_t left = n - i < kLanes ? n - i : kLanes;
    __builtin_memcpy(out + i, widened, left * sizeof(float));
  }
}

// One block of one row: its words, scale and start.
template <class Format>
inline void round_run(std::uint32_t* words, float& scale, std::int32_t& start, const float* x,
                      std::size_t n) {
  alignas(64) typename Format::Right numbers[dot_block(Format::kFormat)] = {};
  if constexpr (kScaled<Format>) {
    scale = quantize(numbers, x, n, Format::kMostRight, 0);
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += numbers[i];
    start = -Format::kOffset * sum;
  } else {
    round_to_bf16(numbers, x, n);
  }
  __builtin_memcpy(words, numbers, (n + kInWord<Format> - 1) / kInWord<Format> * 4);
}

template <class Format>
void pack_dot_panel(const PackPanelArgs& args) {
  constexpr std::size_t kBlock = dot_block(Format::kFormat);
  constexpr std::size_t kBlockWords = kBlock / kInWord<Format>;
  const std::size_t all_words = (args.depth + kInWord<Format> - 1) / kInWord<Format>;
  const std::size_t blocks = (args.depth + kBlock - 1) / kBlock;
  auto* panel = static_cast<std::uint32_t*>(args.panel);
  auto* scales = reinterpret_cast<float*>(panel + all_words * kTileColumns);
  auto* starts = reinterpret_cast<std::int32_t*>(scales + blocks * kTileColumns);
  alignas(64) std::uint32_t words[kTileColumns * kBlockWords];
  const void* rows[kTileColumns];  // of `words`
  alignas(64) float run[kBlock];
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t begin = b * kBlock;
    const std::size_t n = args.depth - begin < kBlock ? args.depth - begin : kBlock;
    const std::size_t count = (n + kInWord<Format> - 1) / kInWord<Format>;
    for (std::size_t j = 0; j < kTileColumns; ++j) {
      float scale = 0;
      std::int32_t start = 0;
      std::uint32_t* to = words + j * kBlockWords;
      rows[j] = args.rows[j] == nullptr ? nullptr : to;
      if (rows[j] != nullptr) {
        widen_run(run, args.rows[j], begin, n, args.source);
        round_run<Format>(to, scale, start, run, n);
      }
      if constexpr (kScaled<Format>) scales[b * kTileColumns + j] = scale;
      if constexpr (Format::kFormat == PanelFormat::Int8) starts[b * kTileColumns + j] = start;
    }
    // Words pass as the bits of floats.
    pack_f32_rows(reinterpret_cast<float*>(panel + b * kBlockWords * kTileColumns), rows, count);
  }
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
