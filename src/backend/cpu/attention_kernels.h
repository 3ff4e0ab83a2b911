// Attention of some queries of one head over all keys, the scores never leaving the first cache.
// Included by kernel files only (simd.h).
//
// Everything is transposed so that queries lie in vector lanes: scores [key][query] are the product
// of the keys, read as they lie, with a panel of queries [d][query]; maxima and sums over keys are
// then plain vector operations, and the sums of values [d][query] are the product of the values,
// read as they lie, with the panel of exponentials [key][query]. Both are tiles of tile.h.
#pragma once

#include "backend/cpu/gemm_kernels.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"
#include "backend/cpu/tile.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// Keys in a block: their exponentials, 64 or 128 bytes each, and a panel of queries share the first
// cache. 24 tiles of 6 or 12 tiles of 12.
constexpr std::size_t kKeyBlock = 144;
// Of the depth of the score product, so that a panel of queries stays in the first cache.
constexpr std::size_t kScoreDepth = 256;

// The state of one panel of queries.
struct QueryPanel {
  float* query;             // [head_dim][kTileColumns], times scale log2(e)
  float* value;             // [head_dim][kTileColumns], sums of exponential times value
  float* highest;           // [kTileColumns], the largest score so far
  float* total;             // [kTileColumns], the sum of exponentials
  std::size_t first, last;  // queries [first, last)
};

inline std::size_t query_panel_floats(std::size_t head_dim) {
  return 2 * (head_dim + 1) * kTileColumns;
}

inline std::size_t attention_scratch(std::size_t head_dim, std::size_t panels) {
  return 4 * (panels * query_panel_floats(head_dim) + kKeyBlock * kTileColumns);
}

inline QueryPanel query_panel(const HeadArgs& args, std::size_t index) {
  float* base = args.scratch + index * query_panel_floats(args.head_dim);
  const std::size_t floats = args.head_dim * kTileColumns;
  const std::size_t first = args.query_begin + index * kTileColumns;
  return {.query = base,
          .value = base + floats,
          .highest = base + 2 * floats,
          .total = base + 2 * floats + kTileColumns,
          .first = first,
          .last = smaller(first + kTileColumns, args.query_end)};
}

// panel[d][lane] = q[first + lane][d] * factor; lanes past `last` are zero.
inline void load_queries(const HeadArgs& args, const QueryPanel& panel) {
  const float factor = args.scale * 1.44269504F;
  const std::size_t count = panel.last - panel.first;
  const float* q = args.q + panel.first * args.stride;
  const std::size_t blocks = args.head_dim / kLanes * kLanes;
  for (std::size_t half = 0; half < kTileColumns; half += kLanes) {
    for (std::size_t d = 0; d < blocks; d += kLanes) {
      Vec rows[kLanes];
      for (std::size_t j = 0; j < kLanes; ++j) {
        rows[j] = half + j < count ? load(q + (half + j) * args.stride + d) : zero();
      }
      transpose(rows);
      for (std::size_t j = 0; j < kLanes; ++j) {
        store(panel.query + (d + j) * kTileColumns + half, rows[j] * broadcast(factor));
      }
    }
  }
  for (std::size_t d = blocks; d < args.head_dim; ++d) {
    for (std::size_t j = 0; j < kTileColumns; ++j) {
      panel.query[d * kTileColumns + j] = j < count ? q[j * args.stride + d] * factor : 0;
    }
  }
}

// out[first + lane][d] = value[d][lane] / total[lane].
inline void store_values(const HeadArgs& args, const QueryPanel& panel) {
  const std::size_t count = panel.last - panel.first;
  float* out = args.out + panel.first * args.out_stride;
  const std::size_t blocks = args.head_dim / kLanes * kLanes;
  for (std::size_t half = 0; half < kTileColumns; half += kLanes) {
    const Vec factor = broadcast(1.F) / load(panel.total + half);
    store(panel.total + half, factor);
    for (std::size_t d = 0; d < blocks; d += kLanes) {
      Vec rows[kLanes];
      for (std::size_t j = 0; j < kLanes; ++j) {
        rows[j] = load(panel.value + (d + j) * kTileColumns + half) * factor;
      }
      transpose(rows);
      for (std::size_t j = 0; j < kLanes && half + j < count; ++j) {
        store(out + (half + j) * args.out_stride + d, rows[j]);
      }
    }
  }
  for (std::size_t d = blocks; d < args.head_dim; ++d) {
    for (std::size_t j = 0; j < count; ++j) {
      out[j * args.out_stride + d] = panel.value[d * kTileColumns + j] * panel.total[j];
    }
  }
}

// scores[key][query] for keys [begin, end).
inline void score(const HeadArgs& args, const QueryPanel& panel, float* scores, std::size_t begin,
                  std::size_t end) {
  const std::size_t tiles = ceil_div(end - begin, kTileRows);
  for (std::size_t d = 0; d < args.head_dim; d += kScoreDepth) {
    const F32Panel right{panel.query + d * kTileColumns};
    for (std::size_t t = 0; t < tiles; ++t) {
      const std::size_t row = (end - begin) * t / tiles;
      const std::size_t rows = (end - begin) * (t + 1) / tiles - row;
      const float* keys = args.k + (begin + row) * args.stride + d;
      const TileArgs tile_args{.depth = smaller(args.head_dim - d, kScoreDepth),
                               .sums = scores + row * kTileColumns,
                               .start = d == 0,
                               .ahead = reinterpret_cast<const char*>(keys)};
      tile_of(rows, tile_args, RowMajor{keys, args.stride}, right);
    }
  }
}

// Hides the keys after each query.
inline void mask_future(const QueryPanel& panel, float* scores, std::size_t begin,
                        std::size_t end) {
  for (std::size_t key = begin; key < end; ++key) {
    if (key <= panel.first) continue;
    const std::size_t hidden = smaller(key - panel.first, kTileColumns);
    for (std::size_t j = 0; j < hidden; ++j) {
      scores[(key - begin) * kTileColumns + j] = -__builtin_inff();
    }
  }
}

// Scores become exponentials against the new maximum; what was summed against the old one is
// scaled.
inline void exponentiate(const HeadArgs& args, const QueryPanel& panel, float* scores,
                         std::size_t keys, bool start) {
  for (std::size_t half = 0; half < kTileColumns; half += kLanes) {
    float* column = scores + half;
    const Vec before = start ? broadcast(-__builtin_inff()) : load(panel.highest + half);
    Vec highest = before;
    for (std::size_t k = 0; k < keys; ++k) highest = max(highest, load(column + k * kTileColumns));
    Vec total = zero();
    for (std::size_t k = 0; k < keys; ++k) {
      const Vec e = exp2_nonpositive(load(column + k * kTileColumns) - highest);
      store(column + k * kTileColumns, e);
      total = total + e;
    }
    if (!start) {
      const Vec factor = exp2_nonpositive(before - highest);
      total = fma(load(panel.total + half), factor, total);
      for (std::size_t d = 0; d < args.head_dim; ++d) {
        float* value = panel.value + d * kTileColumns + half;
        store(value, load(value) * factor);
      }
    }
    store(panel.highest + half, highest);
    store(panel.total + half, total);
  }
}

// value[d][query] += sum over keys of v[key][d] exponential[key][query].
inline void add_values(const HeadArgs& args, const QueryPanel& panel, const float* exponentials,
                       std::size_t begin, std::size_t end) {
  const std::size_t tiles = ceil_div(args.head_dim, kTileRows);
  const float* values = args.v + begin * args.stride;
  for (std::size_t t = 0; t < tiles; ++t) {
    const std::size_t row = args.head_dim * t / tiles;
    const std::size_t rows = args.head_dim * (t + 1) / tiles - row;
    const TileArgs tile_args{.depth = end - begin,
                             .sums = panel.value + row * kTileColumns,
                             .start = begin == 0,
                             .ahead = reinterpret_cast<const char*>(values)};
    tile_of(rows, tile_args, DepthMajor{values + row, args.stride}, F32Panel{exponentials});
  }
}

inline void attention(const HeadArgs& args) {
  const std::size_t panels = ceil_div(args.query_end - args.query_begin, kTileColumns);
  float* scores = args.scratch + panels * query_panel_floats(args.head_dim);
  for (std::size_t p = 0; p < panels; ++p) load_queries(args, query_panel(args, p));
  // Keys no query of these sees need no work.
  const std::size_t visible = args.causal ? args.query_end : args.keys;
  const std::size_t blocks = ceil_div(args.keys, kKeyBlock);
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t begin = args.keys * b / blocks;
    const std::size_t end = args.keys * (b + 1) / blocks;
    if (begin >= visible) break;
    for (std::size_t p = 0; p < panels; ++p) {
      const QueryPanel panel = query_panel(args, p);
      if (args.causal && begin >= panel.last) continue;
      const std::size_t stop = args.causal ? smaller(end, panel.last) : end;
      score(args, panel, scores, begin, stop);
      if (args.causal) mask_future(panel, scores, begin, stop);
      exponentiate(args, panel, scores, stop - begin, b == 0);
      add_values(args, panel, scores, begin, stop);
    }
  }
  for (std::size_t p = 0; p < panels; ++p) store_values(args, query_panel(args, p));
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
