// Rows of 32-bit numbers, side by side in panels. Included by kernel files only.
#pragma once

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/tile.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// Element k of a row, or zero for an absent row.
template <class Number>
inline Number number_at(const void* row, std::size_t k) {
  Number number{};
  // Mapped files may hold numbers at odd addresses.
  if (row != nullptr) {
    __builtin_memcpy(&number, static_cast<const char*>(row) + k * sizeof(number), sizeof(number));
  }
  return number;
}

inline void pack_f32_block(float* out, const void* const* rows, std::size_t k) {
  for (std::size_t half = 0; half < kTileColumns; half += kLanes) {
    Vec block[kLanes];
    for (std::size_t j = 0; j < kLanes; ++j) {
      const auto* row = static_cast<const float*>(rows[half + j]);
      block[j] = row == nullptr ? zero() : load(row + k);
    }
    transpose(block);
    for (std::size_t j = 0; j < kLanes; ++j) {
      store(out + (k + j) * kTileColumns + half, block[j]);
    }
  }
}

// kTileColumns rows of `depth` numbers, null for zeros, to [depth][kTileColumns].
inline void pack_f32_rows(float* out, const void* const* rows, std::size_t depth) {
  std::size_t k = 0;
  for (; k + kLanes <= depth; k += kLanes) pack_f32_block(out, rows, k);
  for (; k < depth; ++k) {
    for (std::size_t j = 0; j < kTileColumns; ++j) {
      out[k * kTileColumns + j] = number_at<float>(rows[j], k);
    }
  }
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
