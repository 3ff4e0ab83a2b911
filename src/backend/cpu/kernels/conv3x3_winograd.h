// Winograd convolution F(4x4, 3x3) in f32, on the vectors of simd.h: for each of 36 points, a
// matrix product of transformed inputs [tiles, in] and transformed kernels [in, out]. What enters:
// a block of tiles; what leaves: its outputs. Included by kernels_table.h only.
//
// A nearest-upsampled input reads pixels a b b c c d in each direction, for which the transform at
// the point whose two middle pairs cancel is exactly 0 and the two at +-kPoint are proportional: 4
// x 4 transformed values and 25 products instead of 36, with the same kernels.
#pragma once

#include "backend/cpu/kernels/conv3x3_kernels.h"
#include "backend/cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

inline constexpr float kQ = static_cast<float>(kPoint);
inline constexpr float kQ2 = static_cast<float>(kPoint * kPoint);
inline constexpr float kQ3 = static_cast<float>(kPoint * kPoint * kPoint);
inline constexpr float kQ2Plus1 = static_cast<float>(1 + kPoint * kPoint);

// Rows of a register tile: with two vectors of columns, what the register file holds.
inline constexpr std::ptrdiff_t kGemmRows = kLanes == 16 ? 12 : 6;

// Inputs that are added up in one chain. A longer one rounds more (3e-6 instead of 1.7e-6 of the
// result at 512 inputs), and a panel's part of this depth stays in the first cache.
inline constexpr std::ptrdiff_t kDepth = 128;
// Steps of the depth between two prefetches.
inline constexpr std::ptrdiff_t kPrefetchSteps = 4;

// One direction of the input transform: six pixels to six points.
inline void transform_six(const Vec (&d)[6], Vec (&t)[6]) {
  const Vec q = broadcast(kQ);
  const Vec q2 = broadcast(kQ2);
  const Vec q2_plus_1 = broadcast(kQ2Plus1);
  const Vec even_1 = fnma(q2, d[2], d[4]);
  const Vec odd_1 = fnma(q2, d[1], d[3]);
  const Vec even_q = d[4] - d[2];
  const Vec odd_q = d[3] - d[1];
  t[0] = fma(q2, d[0], fnma(q2_plus_1, d[2], d[4]));
  t[1] = even_1 + odd_1;
  t[2] = even_1 - odd_1;
  t[3] = fma(q, odd_q, even_q);
  t[4] = fnma(q, odd_q, even_q);
  t[5] = fma(q2, d[1], fnma(q2_plus_1, d[3], d[5]));
}

// The same of pixels a b b c c d: the points 0, 1, infinity, and what +-kPoint share.
inline void transform_four(const Vec (&d)[4], Vec (&t)[4]) {
  const Vec q2 = broadcast(kQ2);
  const Vec q2_plus_1 = broadcast(kQ2Plus1);
  const Vec even = fnma(q2, d[1], d[2]);
  t[0] = fma(q2, d[0], fnma(q2_plus_1, d[1], d[2]));
  t[1] = even + even;
  t[2] = d[2] - d[1];
  t[3] = fma(q2, d[1], fnma(q2_plus_1, d[2], d[3]));
}

template <int kSide>
inline void transform_pixels(const Vec (&d)[kSide], Vec (&t)[kSide]) {
  if constexpr (kSide == 6) {
    transform_six(d, t);
  } else {
    transform_four(d, t);
  }
}

// One direction of the output transform: products of kPoints points to four outputs. With five
// points, of an upsampled input, the point -1 is missing and +-kPoint were multiplied with what
// they share.
template <int kPoints>
inline void transform_products(const Vec (&m)[kPoints], Vec (&y)[4]) {
  const Vec q = broadcast(kQ);
  const Vec q2 = broadcast(kQ2);
  const Vec q3 = broadcast(kQ3);
  Vec sum_1;
  Vec difference_1;
  Vec sum_q;
  Vec difference_q;
  if constexpr (kPoints == 6) {
    sum_1 = m[1] + m[2];
    difference_1 = m[1] - m[2];
    sum_q = m[3] + m[4];
    difference_q = m[3] - m[4];
  } else {
    const Vec plus = broadcast(1 + kQ) * m[2];
    sum_1 = m[1];
    difference_1 = m[1];
    sum_q = fma(broadcast(1 - kQ), m[3], plus);
    difference_q = fnma(broadcast(1 - kQ), m[3], plus);
  }
  y[0] = m[0] + sum_1 + sum_q;
  y[1] = fma(q, difference_q, difference_1);
  y[2] = fma(q2, sum_q, sum_1);
  y[3] = fma(q3, difference_q, difference_1 + m[kPoints - 1]);
}

// kLanes channels of a tile: pixel (i, j) is at pixels[kSide i + j] + channel, point k goes to
// v + k v_point + channel.
template <int kSide>
inline void transform_tile(float* v, std::ptrdiff_t v_point, const float* const* pixels,
                           std::ptrdiff_t channel) {
  Vec columns[kSide][kSide];
#pragma GCC unroll 6
  for (int j = 0; j < kSide; ++j) {
    Vec d[kSide];
    Vec t[kSide];
#pragma GCC unroll 6
    for (int i = 0; i < kSide; ++i) d[i] = load(pixels[kSide * i + j] + channel);
    transform_pixels<kSide>(d, t);
#pragma GCC unroll 6
    for (int i = 0; i < kSide; ++i) columns[i][j] = t[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < kSide; ++i) {
    Vec t[kSide];
    transform_pixels<kSide>(columns[i], t);
#pragma GCC unroll 6
    for (int j = 0; j < kSide; ++j) store(v + (kSide * i + j) * v_point + channel, t[j]);
  }
}

// A tile's first output.
struct TileOrigin {
  std::ptrdiff_t y;
  std::ptrdiff_t x;
};

inline TileOrigin origin_of(const ConvTask& task, std::ptrdiff_t tile) {
  const std::ptrdiff_t tiles_x = (task.width + kTileSide - 1) / kTileSide;
  return {tile / tiles_x * kTileSide, tile % tiles_x * kTileSide};
}

// The pixels that a tile reads, in x, or zeros where they lie outside it.
template <int kSide>
inline void find_pixels(const ConvTask& task, std::ptrdiff_t tile, const float** pixels) {
  const std::ptrdiff_t divisor = kSide == 6 ? 1 : 2;
  const std::ptrdiff_t height = task.height / divisor;
  const std::ptrdiff_t width = task.width / divisor;
  const TileOrigin origin = origin_of(task, tile);
  for (std::ptrdiff_t i = 0; i < kSide; ++i) {
    const std::ptrdiff_t y = origin.y / divisor - 1 + i;
    for (std::ptrdiff_t j = 0; j < kSide; ++j) {
      const std::ptrdiff_t x = origin.x / divisor - 1 + j;
      const bool inside = y >= 0 && y < height && x >= 0 && x < width;
      pixels[kSide * i + j] = inside ? task.x + (y * width + x) * task.in : task.zeros;
    }
  }
}

template <int kSide>
inline void transform_inputs(const ConvTask& task, const ConvBlock& block, float* v) {
  const std::ptrdiff_t v_point = block.layout.v_point;
  const std::ptrdiff_t whole = task.in / kLanes * kLanes;
  const int rest = static_cast<int>(task.in - whole);
  for (std::ptrdiff_t tile = 0; tile < block.tiles; ++tile, v += block.layout.v_row) {
    const float* pixels[kSide * kSide];
    const float* next[kSide * kSide];
    find_pixels<kSide>(task, block.first_tile + tile, pixels);
    find_pixels<kSide>(task, block.first_tile + tile + 1, next);
    for (std::ptrdiff_t channel = 0; channel < whole; channel += kLanes) {
      if (channel % kConvPanel == 0) {
        // The next tile shares the first columns with this one.
#pragma GCC unroll 36
        for (int k = 0; k < kSide * kSide; ++k) {
          if (k % kSide >= kSide / 3) __builtin_prefetch(next[k] + channel);
        }
      }
      transform_tile<kSide>(v, v_point, pixels, channel);
    }
    if (rest == 0) continue;
    // A vector must not read past the last pixel.
    float copies[kSide * kSide][kLanes];
    for (int k = 0; k < kSide * kSide; ++k) {
      store(copies[k], load_n(pixels[k] + whole, rest));
      pixels[k] = copies[k];
    }
    transform_tile<kSide>(v + whole, v_point, pixels, 0);
  }
}

// A block's tiles in register tiles of equal size: 32 as 6 6 5 5 5 5 and not 6 6 6 6 6 2, which
// would leave the pipes idle.
struct RowSplit {
  std::ptrdiff_t rows = 0;    // of each register tile
  std::ptrdiff_t longer = 0;  // register tiles that have one row more, the first ones
  std::ptrdiff_t parts = 0;   // register tiles
};

inline RowSplit split_rows(std::ptrdiff_t tiles) {
  const std::ptrdiff_t parts = (tiles + kGemmRows - 1) / kGemmRows;
  return {tiles / parts, tiles % parts, parts};
}

// One point's product of transformed inputs and kernels, for two vectors of output channels:
// m [tiles][kConvGroup] from v [tiles][in].
struct PointProduct {
  float* m = nullptr;
  const float* v = nullptr;
  std::ptrdiff_t v_row = 0;
  const float* u0 = nullptr;  // [in][kConvPanel], of the first vector
  const float* u1 = nullptr;  // of the second; it may not exist
  std::ptrdiff_t depth = 0;
};

template <int kRows, int kVectors>
inline void clear_sums(Vec (&sums)[kRows][kVectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int c = 0; c < kVectors; ++c) sums[r][c] = zero();
  }
}

template <int kRows, int kVectors, bool kFirst>
inline void store_sums(const Vec (&sums)[kRows][kVectors], float* m) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int c = 0; c < kVectors; ++c) {
      float* target = m + r * kProductRow + c * kLanes;
      store(target, kFirst ? sums[r][c] : load(target) + sums[r][c]);
    }
  }
}

// kRows tiles times kVectors vectors; with kFirst, m is written and not added to. `ahead` is the
// distance from u0 and u1 to what a later call reads: kPrefetchSteps steps fetch one cache line
// there.
template <int kRows, int kVectors, bool kFirst>
inline void multiply_tile(const PointProduct& p, std::ptrdiff_t ahead) {
  Vec sums[kRows][kVectors];
  clear_sums<kRows, kVectors>(sums);
  const auto step = [&](const float* v, const float* u0, const float* u1) {
    Vec column[kVectors];
    column[0] = load(u0);
    if constexpr (kVectors == 2) column[1] = load(u1);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vec value = broadcast_load(v + r * p.v_row);
#pragma GCC unroll 2
      for (int c = 0; c < kVectors; ++c) sums[r][c] = fma(value, column[c], sums[r][c]);
    }
  };
  const float* v = p.v;
  const float* u0 = p.u0;
  const float* u1 = kVectors == 2 ? p.u1 : p.u0;
  std::ptrdiff_t left = p.depth;
  for (; left >= kPrefetchSteps; left -= kPrefetchSteps) {
    __builtin_prefetch(u0 + ahead);
    // Vectors shorter than a panel lie in the same panel.
    if constexpr (kVectors == 2 && kLanes == kConvPanel) __builtin_prefetch(u1 + ahead);
#pragma GCC unroll 4
    for (std::ptrdiff_t s = 0; s < kPrefetchSteps; ++s) {
      step(v + s, u0 + s * kConvPanel, u1 + s * kConvPanel);
    }
    v += kPrefetchSteps;
    u0 += kPrefetchSteps * kConvPanel;
    u1 += kPrefetchSteps * kConvPanel;
    ahead -= (kPrefetchSteps - 1) * kConvPanel;
  }
  for (; left > 0; --left) {
    step(v, u0, u1);
    ++v;
    u0 += kConvPanel;
    u1 += kConvPanel;
  }
  store_sums<kRows, kVectors, kFirst>(sums, p.m);
}

// Register tiles [part, end) of kRows rows each; kPrefetchSteps of them together fetch what follows
// the `depth` rows of the panel.
template <int kVectors, bool kFirst, int kRows>
[[gnu::noinline]] void multiply_parts(PointProduct p, std::ptrdiff_t part, std::ptrdiff_t end) {
  for (; part < end; ++part) {
    const std::ptrdiff_t share = part % kPrefetchSteps * (p.depth / kPrefetchSteps);
    multiply_tile<kRows, kVectors, kFirst>(p, (p.depth + share) * kConvPanel);
    p.m += kRows * kProductRow;
    p.v += kRows * p.v_row;
  }
}

template <int kVectors, bool kFirst, int kRows = static_cast<int>(kGemmRows)>
inline void multiply_rows(const PointProduct& p, std::ptrdiff_t rows, std::ptrdiff_t part,
                          std::ptrdiff_t end) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return multiply_parts<kVectors, kFirst, kRows>(p, part, end);
    multiply_rows<kVectors, kFirst, kRows - 1>(p, rows, part, end);
  }
}

template <int kVectors, bool kFirst>
inline void multiply_tiles(PointProduct p, const RowSplit& split) {
  if (split.longer > 0) {
    multiply_rows<kVectors, kFirst>(p, split.rows + 1, 0, split.longer);
    p.m += split.longer * (split.rows + 1) * kProductRow;
    p.v += split.longer * (split.rows + 1) * p.v_row;
  }
  multiply_rows<kVectors, kFirst>(p, split.rows, split.longer, split.parts);
}

template <int kVectors>
inline void multiply_depth(PointProduct p, const RowSplit& split, std::ptrdiff_t in) {
  p.depth = in < kDepth ? in : kDepth;
  multiply_tiles<kVectors, true>(p, split);
  for (std::ptrdiff_t k = kDepth; k < in; k += kDepth) {
    p.v += kDepth;
    p.u0 += kDepth * kConvPanel;
    if constexpr (kVectors == 2) p.u1 += kDepth * kConvPanel;
    p.depth = in - k < kDepth ? in - k : kDepth;
    multiply_tiles<kVectors, false>(p, split);
  }
}

// One point for all tiles and `columns` output channels, whose kernels begin at `u`, the panels
// u_panel apart.
inline void multiply_point(PointProduct p, const RowSplit& split, std::ptrdiff_t in, const float* u,
                           std::ptrdiff_t u_panel, std::ptrdiff_t columns) {
  for (std::ptrdiff_t c = 0; c < columns; c += 2 * kLanes) {
    p.u0 = u + c / kConvPanel * u_panel + c % kConvPanel;
    const std::ptrdiff_t second = c + kLanes;
    if (second < columns) {
      p.u1 = u + second / kConvPanel * u_panel + second % kConvPanel;
      multiply_depth<2>(p, split, in);
    } else {
      multiply_depth<1>(p, split, in);
    }
    p.m += 2 * kLanes;
  }
}

// Where finish_tile() puts its outputs.
struct TileTarget {
  float* out = nullptr;
  std::ptrdiff_t row_stride = 0;
  std::ptrdiff_t pixel_stride = 0;
  std::ptrdiff_t rows = 0;     // that exist, 4 or more for a whole tile
  std::ptrdiff_t columns = 0;  // likewise
  int lanes = 0;               // channels that exist
  bool accumulate = false;
};

// The first direction of the output transform, of kLanes channels of a tile: the product of point k
// is at m + k kConvGroup.
template <int kPoints>
inline void transform_columns(Vec (&half)[4][kPoints], const float* m) {
#pragma GCC unroll 6
  for (int j = 0; j < kPoints; ++j) {
    Vec d[kPoints];
    Vec y[4];
#pragma GCC unroll 6
    for (int i = 0; i < kPoints; ++i) d[i] = load(m + (kPoints * i + j) * kConvGroup);
    transform_products<kPoints>(d, y);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) half[i][j] = y[i];
  }
}

// The outputs of kLanes channels of a tile. kWhole: all of them exist. kStep: 2 keeps those of odd
// rows and columns alone.
template <int kPoints, bool kWhole, int kStep>
inline void finish_tile(TileTarget target, const float* m, Vec bias) {
  Vec half[4][kPoints];
  transform_columns<kPoints>(half, m);
#pragma GCC unroll 4
  for (int i = kStep - 1; i < 4; i += kStep) {
    if (!kWhole && i >= target.rows) break;
    Vec y[4];
    transform_products<kPoints>(half[i], y);
#pragma GCC unroll 4
    for (int j = kStep - 1; j < 4; j += kStep) {
      if (!kWhole && j >= target.columns) break;
      float* out = target.out + i / kStep * target.row_stride + j / kStep * target.pixel_stride;
      const Vec value = y[j] + bias;
      if (kWhole || target.lanes == kLanes) {
        store(out, target.accumulate ? load(out) + value : value);
      } else {
        const Vec before = target.accumulate ? load_n(out, target.lanes) : zero();
        store_n(out, before + value, target.lanes);
      }
    }
  }
}

// Channels [first, first + channels) of all tiles from their products m.
template <int kPoints, int kStep>
inline void transform_outputs(const ConvTask& task, const ConvBlock& block, const float* m,
                              std::ptrdiff_t first, std::ptrdiff_t channels) {
  TileTarget target;
  const std::ptrdiff_t width = task.width / kStep;
  target.row_stride = width * task.out_channels;
  target.pixel_stride = task.out_channels;
  target.accumulate = task.accumulate;
  for (std::ptrdiff_t tile = 0; tile < block.tiles; ++tile, m += kProductRow) {
    const TileOrigin origin = origin_of(task, block.first_tile + tile);
    target.rows = task.height - origin.y;
    target.columns = task.width - origin.x;
    for (std::ptrdiff_t c = 0; c < channels; c += kLanes) {
      const std::ptrdiff_t left = channels - c;
      target.lanes = left < kLanes ? static_cast<int>(left) : kLanes;
      target.out =
          task.out + (origin.y / kStep * width + origin.x / kStep) * task.out_channels + first + c;
      Vec bias = zero();
      if (task.bias != nullptr) {
        const float* p = task.bias + first + c;
        bias = target.lanes == kLanes ? load(p) : load_n(p, target.lanes);
      }
      if (target.rows >= 4 && target.columns >= 4 && target.lanes == kLanes) {
        finish_tile<kPoints, true, kStep>(target, m + c, bias);
      } else {
        finish_tile<kPoints, false, kStep>(target, m + c, bias);
      }
    }
  }
}

// Fetches the cache lines that a tile's outputs will be written to, a group of channels from
// `first` on.
template <int kStep>
inline void prefetch_outputs(const ConvTask& task, std::ptrdiff_t tile, std::ptrdiff_t first) {
  const TileOrigin origin = origin_of(task, tile);
  const std::ptrdiff_t width = task.width / kStep;
  const float* out =
      task.out + (origin.y / kStep * width + origin.x / kStep) * task.out_channels + first;
  for (std::ptrdiff_t i = 0; i < kTileSide / kStep; ++i) {
    for (std::ptrdiff_t j = 0; j < kTileSide / kStep; ++j) {
      const float* pixel = out + (i * width + j) * task.out_channels;
      for (std::ptrdiff_t c = 0; c < kConvGroup; c += kConvPanel) {
        __builtin_prefetch(pixel + c, 1);
      }
    }
  }
}

template <int kSide, int kStep>
inline void winograd_tiles(const ConvTask& task, const ConvBlock& block, float* scratch) {
  // Products in each direction, and the transformed input and kernel that each multiplies.
  constexpr int kPoints = kSide == 6 ? 6 : 5;
  constexpr int kInputOf[] = {0, 1, 2, kSide == 6 ? 3 : 2, kSide == 6 ? 4 : 3, 5};
  constexpr int kKernelOf[] = {0, 1, kSide == 6 ? 2 : 3, kSide == 6 ? 3 : 4, kSide == 6 ? 4 : 5, 5};
  constexpr std::ptrdiff_t kPanels = kConvGroup / kConvPanel;
  const WinogradLayout& layout = block.layout;
  float* v = scratch;
  float* m = scratch + layout.v_floats;
  const std::ptrdiff_t u_point = task.in * kConvPanel;
  const std::ptrdiff_t u_panel = kTilePoints * u_point;
  const RowSplit split = split_rows(block.tiles);
  transform_inputs<kSide>(task, block, v);
  for (std::ptrdiff_t panel = block.first_panel; panel < block.last_panel; panel += kPanels) {
    const std::ptrdiff_t left = block.last_panel - panel;
    const std::ptrdiff_t columns = (left < kPanels ? left : kPanels) * kConvPanel;
    const std::ptrdiff_t first = panel * kConvPanel;
    const float* u = task.weight + panel * u_panel;
    std::ptrdiff_t fetched = 0;
    for (int i = 0; i < kPoints; ++i) {
      for (int j = 0; j < kPoints; ++j) {
        const int point = kPoints * i + j;
        const std::ptrdiff_t due = block.tiles * (point + 1) / (kPoints * kPoints);
        for (; fetched < due; ++fetched) {
          prefetch_outputs<kStep>(task, block.first_tile + fetched, first);
        }
        PointProduct product;
        product.m = m + point * kConvGroup;
        product.v = v + (kSide * kInputOf[i] + kInputOf[j]) * layout.v_point;
        product.v_row = layout.v_row;
        const int kernel = static_cast<int>(kPointCount) * kKernelOf[i] + kKernelOf[j];
        multiply_point(product, split, task.in, u + kernel * u_point, u_panel, columns);
      }
    }
    const std::ptrdiff_t rest = task.out_channels - first;
    transform_outputs<kPoints, kStep>(task, block, m, first, rest < columns ? rest : columns);
  }
}

inline void winograd_block(const ConvTask& task, const ConvBlock& block, float* scratch) {
  if (task.upsample_2x) {
    winograd_tiles<4, 1>(task, block, scratch);
  } else if (task.downsample_2x) {
    winograd_tiles<6, 2>(task, block, scratch);
  } else {
    winograd_tiles<6, 1>(task, block, scratch);
  }
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
