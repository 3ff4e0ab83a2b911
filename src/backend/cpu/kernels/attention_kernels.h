// Attention of some queries over all keys of a head, the scores never leaving the first cache.
// Included by kernel files only (simd.h).
//
// Everything is transposed so that queries lie in vector lanes: scores [key][query] are the product
// of the keys with a panel of queries [d][query]; maxima and sums over keys are then plain vector
// operations, and the sums of values [d][query] are the product of the values with the panel of
// exponentials [key][query]. Both are tiles of tile.h.
#pragma once

#include "backend/cpu/kernels/gemm_kernels.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/tile.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// Keys in a block: their exponentials, 64 or 128 bytes each, and a panel of queries share the first
// cache; their copies and all panels share the second. 24 tiles of 6 or 12 tiles of 12.
constexpr std::size_t kKeyBlock = 144;
// Of the depth of the score product, so that a panel of queries stays in the first cache.
constexpr std::size_t kScoreDepth = 256;

// The state of one panel of queries.
struct QueryPanel {
  float* query;    // [head_dim][kTileColumns], times scale log2(e)
  float* value;    // [head_dim][kTileColumns], sums of exponential times value
  float* highest;  // [kTileColumns], the largest score so far
  float* total;    // [kTileColumns], the sum of exponentials
  std::size_t head;
  std::size_t first, last;  // rows [first, last)
};

// Keys [begin, end) and their values, copied: rows of the activations lie so far apart that they
// would share cache sets and pages.
struct KeyBlock {
  float* keys;    // [kKeyBlock][row_floats]
  float* values;  // [kKeyBlock][row_floats]
  std::size_t begin, end;
  std::size_t next_end;  // keys [end, next_end) come afterwards
};

inline std::size_t panel_floats(std::size_t head_dim) {
  return 2 * (head_dim + 1) * kTileColumns;
}
// An odd number of cache lines, so that a column of values spreads over all cache sets.
inline std::size_t row_floats(std::size_t head_dim) {
  return (ceil_div(head_dim, 16) | std::size_t{1}) * 16;
}

inline std::size_t attention_scratch(std::size_t head_dim, std::size_t panels) {
  return 4 * (panels * panel_floats(head_dim) + 2 * kKeyBlock * row_floats(head_dim) +
              kKeyBlock * kTileColumns);
}

inline QueryPanel query_panel(const HeadArgs& args, std::size_t index) {
  float* base = args.scratch + (index - args.panel_begin) * panel_floats(args.head_dim);
  const std::size_t floats = args.head_dim * kTileColumns;
  const std::size_t panels_per_head = ceil_div(args.rows, kTileColumns);
  const std::size_t first = index % panels_per_head * kTileColumns;
  return {.query = base,
          .value = base + floats,
          .highest = base + 2 * floats,
          .total = base + 2 * floats + kTileColumns,
          .head = index / panels_per_head,
          .first = first,
          .last = smaller(first + kTileColumns, args.rows)};
}

// panel[d][lane] = q[first + lane][d] * factor; lanes past `last` are zero.
inline void load_queries(const HeadArgs& args, const QueryPanel& panel) {
  const float factor = args.scale * 1.44269504F;
  const std::size_t count = panel.last - panel.first;
  const float* q = args.q + panel.head * args.head_dim + panel.first * args.stride;
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
  float* out = args.out + panel.head * args.head_dim + panel.first * args.out_stride;
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

inline void copy_rows(float* out, const float* x, const HeadArgs& args, const KeyBlock& block) {
  const std::size_t stride = row_floats(args.head_dim);
  const std::size_t vectors = args.head_dim / kLanes * kLanes;
  for (std::size_t i = 0; i < block.end - block.begin; ++i) {
    const float* from = x + (block.begin + i) * args.stride;
    float* to = out + i * stride;
    for (std::size_t d = 0; d < vectors; d += kLanes) store(to + d, load(from + d));
    for (std::size_t d = vectors; d < args.head_dim; ++d) to[d] = from[d];
  }
}

// Where a tile fetches ahead: row `index` of the next block, spread over the steps of the tile.
inline void fetch_row(TileArgs& tile_args, const HeadArgs& args, const KeyBlock& block,
                      const float* rows, std::size_t index) {
  const bool exists = block.end + index < block.next_end;
  const std::size_t row = exists ? block.end + index : block.begin;
  tile_args.ahead = reinterpret_cast<const char*>(rows + row * args.stride);
  if (exists) tile_args.ahead_step = args.head_dim * 4 * kAheadSteps / (tile_args.depth + 1);
}

// scores[key][query] for the first `keys` keys of the block.
inline void score(const HeadArgs& args, const QueryPanel& panel, const KeyBlock& block,
                  float* scores, std::size_t keys, std::size_t turn) {
  const std::size_t tiles = ceil_div(keys, kTileRows);
  const std::size_t stride = row_floats(args.head_dim);
  for (std::size_t d = 0; d < args.head_dim; d += kScoreDepth) {
    const F32Panel right{panel.query + d * kTileColumns};
    for (std::size_t t = 0; t < tiles; ++t) {
      const std::size_t row = keys * t / tiles;
      const std::size_t rows = keys * (t + 1) / tiles - row;
      TileArgs tile_args{.depth = smaller(args.head_dim - d, kScoreDepth),
                         .sums = scores + row * kTileColumns,
                         .start = d == 0};
      fetch_row(tile_args, args, block, args.k, turn * tiles + t);
      tile_of(rows, tile_args, RowMajor{block.keys + row * stride + d, stride}, right);
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
  const Vec nothing = broadcast(-__builtin_inff());
  Vec before[2];
  Vec highest[2];
  Vec total[2] = {zero(), zero()};
#pragma GCC unroll 2
  for (std::size_t v = 0; v < 2; ++v) {
    before[v] = start ? nothing : load(panel.highest + v * kLanes);
    highest[v] = before[v];
  }
  for (std::size_t k = 0; k < keys; ++k) {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < 2; ++v) {
      highest[v] = max(highest[v], load(scores + k * kTileColumns + v * kLanes));
    }
  }
  for (std::size_t k = 0; k < keys; ++k) {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < 2; ++v) {
      float* score = scores + k * kTileColumns + v * kLanes;
      const Vec e = exp2_nonpositive(load(score) - highest[v]);
      store(score, e);
      total[v] = total[v] + e;
    }
  }
#pragma GCC unroll 2
  for (std::size_t v = 0; v < 2; ++v) {
    if (!start) {
      const Vec factor = exp2_nonpositive(before[v] - highest[v]);
      total[v] = fma(load(panel.total + v * kLanes), factor, total[v]);
      before[v] = factor;
    }
    store(panel.highest + v * kLanes, highest[v]);
    store(panel.total + v * kLanes, total[v]);
  }
  if (start) return;
  for (std::size_t d = 0; d < args.head_dim; ++d) {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < 2; ++v) {
      float* value = panel.value + d * kTileColumns + v * kLanes;
      store(value, load(value) * before[v]);
    }
  }
}

// value[d][query] += sum over keys of v[key][d] exponential[key][query].
inline void add_values(const HeadArgs& args, const QueryPanel& panel, const KeyBlock& block,
                       const float* exponentials, std::size_t keys, std::size_t turn) {
  const std::size_t tiles = ceil_div(args.head_dim, kTileRows);
  for (std::size_t t = 0; t < tiles; ++t) {
    const std::size_t row = args.head_dim * t / tiles;
    const std::size_t rows = args.head_dim * (t + 1) / tiles - row;
    TileArgs tile_args{
        .depth = keys, .sums = panel.value + row * kTileColumns, .start = block.begin == 0};
    fetch_row(tile_args, args, block, args.v, turn * tiles + t);
    tile_of(rows, tile_args, DepthMajor{block.values + row, row_floats(args.head_dim)},
            F32Panel{exponentials});
  }
}

inline void attention(const HeadArgs& args) {
  const std::size_t panels = args.panel_end - args.panel_begin;
  float* keys = args.scratch + panels * panel_floats(args.head_dim);
  float* values = keys + kKeyBlock * row_floats(args.head_dim);
  float* scores = values + kKeyBlock * row_floats(args.head_dim);
  std::size_t visible = args.causal ? 0 : args.rows;
  for (std::size_t p = args.panel_begin; p < args.panel_end; ++p) {
    const QueryPanel panel = query_panel(args, p);
    load_queries(args, panel);
    if (panel.last > visible) visible = panel.last;
  }
  // Blocks do not depend on which panels are at work, so that results do not either.
  const std::size_t blocks = ceil_div(args.rows, kKeyBlock);
  for (std::size_t b = 0; b < blocks; ++b) {
    const KeyBlock block{.keys = keys,
                         .values = values,
                         .begin = args.rows * b / blocks,
                         .end = smaller(args.rows * (b + 1) / blocks, visible),
                         .next_end = smaller(args.rows * (b + 2) / blocks, visible)};
    if (block.begin >= visible) break;
    copy_rows(block.keys, args.k, args, block);
    copy_rows(block.values, args.v, args, block);
    for (std::size_t p = args.panel_begin; p < args.panel_end; ++p) {
      const QueryPanel panel = query_panel(args, p);
      if (args.causal && block.begin >= panel.last) continue;
      const std::size_t end = args.causal ? smaller(block.end, panel.last) : block.end;
      const std::size_t turn = p - args.panel_begin;
      score(args, panel, block, scores, end - block.begin, turn);
      if (args.causal) mask_future(panel, scores, block.begin, end);
      exponentiate(args, panel, scores, end - block.begin, b == 0);
      add_values(args, panel, block, scores, end - block.begin, turn);
    }
  }
  for (std::size_t p = args.panel_begin; p < args.panel_end; ++p) {
    store_values(args, query_panel(args, p));
  }
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
