// The 3x3 convolution to a handful of channels (the picture's three) on the vectors of simd.h: the
// lanes are input channels, so nothing is wasted on channels that do not exist. What enters: one
// row of the output; what leaves: its pixels. Included by kernels_table.h only.
#pragma once

#include "backend/cpu/kernels/conv3x3_kernels.h"
#include "backend/cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// kLanes channels of the products of kPixels neighbours: pixel (i, j) of the 3 x (kPixels + 2)
// inputs at pixels[i (kPixels + 2) + j], kernel (o, i, j) at weight + ((3 o + i) 3 + j)
// weight_pixel.
template <int kOut, int kPixels, typename Load>
inline void multiply_pixels(Vec (&sums)[kPixels][kOut], const float* const* pixels,
                            const float* weight, std::ptrdiff_t weight_pixel,
                            std::ptrdiff_t channel, const Load& load_pixel) {
#pragma GCC unroll 6
  for (int i = 0; i < 3; ++i) {
    Vec input[kPixels + 2];
#pragma GCC unroll 6
    for (int j = 0; j < kPixels + 2; ++j) {
      input[j] = load_pixel(pixels[i * (kPixels + 2) + j] + channel);
    }
#pragma GCC unroll 6
    for (int j = 0; j < 3; ++j) {
#pragma GCC unroll 6
      for (int o = 0; o < kOut; ++o) {
        const Vec factor = load(weight + ((3 * o + i) * 3 + j) * weight_pixel + channel);
#pragma GCC unroll 6
        for (int p = 0; p < kPixels; ++p) sums[p][o] = fma(input[p + j], factor, sums[p][o]);
      }
    }
  }
}

// Where the inputs of the pixels from `column` on lie: three rows of kColumns; zeros outside.
template <int kColumns>
inline void find_pixels(const float* (&pixels)[3 * kColumns], const ConvTask& task,
                        std::ptrdiff_t row, std::ptrdiff_t column) {
  const std::ptrdiff_t divisor = task.upsample_2x ? 2 : 1;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < kColumns; ++j) {
      const std::ptrdiff_t y = row + i - 1;
      const std::ptrdiff_t x = column + j - 1;
      const bool inside = y >= 0 && y < task.height && x >= 0 && x < task.width;
      const std::ptrdiff_t pixel = y / divisor * (task.width / divisor) + x / divisor;
      pixels[i * kColumns + j] = inside ? task.x + pixel * task.in : task.zeros;
    }
  }
}

// kPixels neighbours of `row` from `column` on; those beyond the width are not stored.
template <int kOut, int kPixels>
inline void direct_pixels(const ConvTask& task, std::ptrdiff_t row, std::ptrdiff_t column) {
  constexpr int kColumns = kPixels + 2;
  const float* pixels[3 * kColumns];
  find_pixels<kColumns>(pixels, task, row, column);
  Vec sums[kPixels][kOut];
#pragma GCC unroll 4
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
    for (int o = 0; o < kOut; ++o) sums[p][o] = zero();
  }
  const std::ptrdiff_t step = task.downsample_2x ? 2 : 1;
  const std::ptrdiff_t weight_pixel = (task.in + kConvPanel - 1) / kConvPanel * kConvPanel;
  const std::ptrdiff_t whole = task.in / kLanes * kLanes;
  for (std::ptrdiff_t channel = 0; channel < whole; channel += kLanes) {
    multiply_pixels<kOut, kPixels>(sums, pixels, task.weight, weight_pixel, channel,
                                   [](const float* p) { return load(p); });
  }
  if (whole < task.in) {
    const int rest = static_cast<int>(task.in - whole);
    multiply_pixels<kOut, kPixels>(sums, pixels, task.weight, weight_pixel, whole,
                                   [rest](const float* p) { return load_n(p, rest); });
  }
#pragma GCC unroll 4
  for (int p = 0; p < kPixels; ++p) {
    if (column + p >= task.width) break;
    if ((column + p) % step != step - 1) continue;
    float* out = task.out + (row / step * (task.width / step) + (column + p) / step) * kOut;
#pragma GCC unroll 4
    for (int o = 0; o < kOut; ++o) {
      const float value = sum(sums[p][o]) + (task.bias != nullptr ? task.bias[o] : 0.F);
      out[o] = task.accumulate ? out[o] + value : value;
    }
  }
}

template <int kOut>
inline void direct_row_of(const ConvTask& task, std::ptrdiff_t row) {
  // For three channels nine sums, five inputs and a factor: what sixteen registers hold.
  constexpr int kPixels = 3;
  for (std::ptrdiff_t x = 0; x < task.width; x += kPixels) {
    direct_pixels<kOut, kPixels>(task, row, x);
  }
}

inline void direct_row(const ConvTask& task, std::ptrdiff_t row) {
  switch (task.out_channels) {
    case 1: return direct_row_of<1>(task, row);
    case 2: return direct_row_of<2>(task, row);
    case 3: return direct_row_of<3>(task, row);
    default: return direct_row_of<4>(task, row);
  }
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
