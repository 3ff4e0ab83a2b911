// Matrix products in which one instruction multiplies and adds the two or four numbers of a 32-bit
// word: integers with a scale for each block of the depth, or bf16. Activations are rounded first:
// for all pieces of a product by a call before, or where only one piece needs them, by that one.
// Included by kernel files only (simd.h).
//
// Integer sums are exact and blocks of the depth are added in order, so results do not depend on
// how rows and panels are split between threads.
#pragma once

#include "backend/cpu/kernels/dot_quantize.h"
#include "backend/cpu/kernels/dot_tile.h"
#include "backend/cpu/kernels/gemm_finish.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/tile.h"
#if defined(ZIMAGE_CPU_AMX)
#include "backend/cpu/kernels/amx_tile.h"
#endif

namespace zimage::cpu::ZIMAGE_CPU_ISA {

#if defined(ZIMAGE_CPU_AMX)
using DotUnit = MatrixUnit;
#else
using DotUnit = VectorUnit;
#endif

// Rows of a block: their numbers in one block of the depth and the sums of kDotPanels panels stay
// in the second cache.
constexpr std::size_t kDotRows = kLanes == 16 ? 288 : 192;
constexpr std::size_t kDotPanels = 16;

// --- The cut into blocks ---

// Numbers of the depth whose products are summed at once.
constexpr std::size_t summed_block(PanelFormat format) {
  return format == PanelFormat::Bf16Pairs ? DotUnit::kBf16Block : dot_block(format);
}

// Of the depth.
struct DotCut {
  std::size_t blocks;
  std::size_t block_words;  // of a full block
  std::size_t words;        // of all blocks
};

inline DotCut dot_cut(const GemmArgs& args) {
  const std::size_t in_word = 4 / size_of(args.format);
  const std::size_t block = summed_block(args.format);
  return {.blocks = ceil_div(args.depth, block),
          .block_words = block / in_word,
          .words = ceil_div(args.depth, in_word)};
}

inline std::size_t tiles_of(const GemmArgs& args) {
  return ceil_div(args.rows, DotUnit::kRows);
}
inline std::size_t first_row(const GemmArgs& args, std::size_t tile) {
  return args.rows * tile / tiles_of(args);
}

// --- Rounded rows ---

// Of `tiles` tiles from `first` on: [depth block][tile] as DotUnit::put() lays them, then the
// scales [depth block][tile][row of the tile].
struct RoundedRows {
  std::uint32_t* data;
  std::size_t first;
  std::size_t tiles;

  static std::size_t tile_words(const DotCut& cut) { return DotUnit::kRows * cut.block_words; }
  static std::size_t bytes(const DotCut& cut, std::size_t tiles) {
    return 4 * cut.blocks * tiles * (tile_words(cut) + DotUnit::kRows);
  }

  std::uint32_t* words(const DotCut& cut, std::size_t d, std::size_t tile) const {
    return data + (d * tiles + tile - first) * tile_words(cut);
  }
  float* scales(const DotCut& cut, std::size_t d, std::size_t tile) const {
    auto* const all = reinterpret_cast<float*>(data + cut.blocks * tiles * tile_words(cut));
    return all + (d * tiles + tile - first) * DotUnit::kRows;
  }
};

inline RoundedRows shared_rows(const GemmArgs& args) {
  return {.data = args.rounded, .first = 0, .tiles = tiles_of(args)};
}

inline std::size_t dot_rounded_bytes(const GemmArgs& args) {
  return RoundedRows::bytes(dot_cut(args), tiles_of(args));
}

// Depth block `d` of one row to `words`, with zeros up to a whole step: what is read beyond the
// last number meets zeros, which a NaN would survive. Returns how many words these are.
template <class Format>
std::size_t round_row(std::uint32_t* words, float* scale, const GemmArgs& args, std::size_t row,
                      std::size_t d) {
  const std::size_t begin = d * summed_block(args.format);
  const std::size_t n = smaller(summed_block(args.format), args.depth - begin);
  const std::size_t count = ceil_div(n, kInWord<Format>);
  const std::size_t filled = round_up(count, DotUnit::kStepWords);
  for (std::size_t w = count - 1; w < filled; ++w) words[w] = 0;
  const float* x = args.a + row * args.a_stride + begin;
  if constexpr (kScaled<Format>) {
    *scale = quantize(Format::left(words), x, n, Format::kMostLeft, Format::kOffset);
  } else {
    round_to_bf16(Format::left(words), x, n);
  }
  return filled;
}

template <class Format>
void round_tiles(const RoundedRows& rounded, const GemmArgs& args, std::size_t begin,
                 std::size_t end) {
  const DotCut cut = dot_cut(args);
  alignas(64) std::uint32_t words[kMostDotBlock];
  for (std::size_t t = begin; t < end; ++t) {
    const std::size_t first = first_row(args, t);
    const std::size_t rows = first_row(args, t + 1) - first;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t d = 0; d < cut.blocks; ++d) {
        float* scale = rounded.scales(cut, d, t) + r;
        const std::size_t count = round_row<Format>(words, scale, args, first + r, d);
        DotUnit::put<Format>(rounded.words(cut, d, t), cut.block_words, r, words, count);
      }
    }
  }
}

inline void dot_round(const GemmArgs& args) {
  const RoundedRows rounded = shared_rows(args);
  const std::size_t begin = args.tile_begin;
  const std::size_t end = args.tile_end;
  switch (args.format) {
    case PanelFormat::Int16: return round_tiles<Int16Format>(rounded, args, begin, end);
    case PanelFormat::Int8: return round_tiles<Int8Format>(rounded, args, begin, end);
    case PanelFormat::Bf16Pairs: return round_tiles<Bf16Format>(rounded, args, begin, end);
    case PanelFormat::Bf16:
    case PanelFormat::F16:
    case PanelFormat::F32: return;
  }
}

// --- Products ---

// Row blocks of a call, and the most tiles of one.
struct RowCut {
  std::size_t blocks;
  std::size_t tiles;
};

inline RowCut row_cut(const GemmArgs& args) {
  const std::size_t tiles = args.tile_end - args.tile_begin;
  const std::size_t blocks = ceil_div(tiles * DotUnit::kRows, kDotRows);
  return {.blocks = blocks, .tiles = ceil_div(tiles, blocks)};
}

// Of the sums of a row block, which come first, and of its rounded rows.
inline std::size_t partial_floats(const RowCut& cut) {
  return kDotPanels * cut.tiles * DotUnit::kRows * kTileColumns;
}

inline std::size_t dot_scratch(const GemmArgs& args) {
  if (args.tile_end <= args.tile_begin) return 0;
  const RowCut rows = row_cut(args);
  const std::size_t rounded =
      args.rounded_before ? 0 : RoundedRows::bytes(dot_cut(args), rows.tiles);
  return 4 * partial_floats(rows) + rounded;
}

struct DotBlock {
  const GemmArgs& args;
  const DotCut& cut;
  DotUnit& unit;
  RoundedRows rounded;
  std::size_t tile_begin, tile_end;
  float* partial;  // [panel of the group][row][kTileColumns]

  std::size_t row(std::size_t tile) const { return first_row(args, tile); }
  std::size_t rows() const { return row(tile_end) - row(tile_begin); }
};

// Panel `p`, the `g`th of its group, and depth block `d` against all rows of the block.
template <class Format>
void multiply_dot_panel(const DotBlock& block, std::size_t p, std::size_t g, std::size_t d) {
  const GemmArgs& args = block.args;
  const DotCut& c = block.cut;
  const std::size_t bytes = panel_bytes(args.format, kLanes, args.depth);
  const char* panel = static_cast<const char*>(args.panels) + p * bytes;
  const auto* words = reinterpret_cast<const std::uint32_t*>(panel);
  const auto* scales = reinterpret_cast<const float*>(words + c.words * kTileColumns);
  const auto* starts = reinterpret_cast<const std::int32_t*>(scales + c.blocks * kTileColumns);
  const std::size_t begin = d * c.block_words;
  const std::size_t count = smaller(c.block_words, c.words - begin);
  const std::size_t tiles = block.tile_end - block.tile_begin;
  const bool last = d + 1 == c.blocks;
  // The same block of the panel that comes next lies one panel further.
  const std::size_t share = count * kTileColumns * 4 / tiles;
  const char* next = p + 1 < args.panel_end ? panel + bytes : panel;
  next += begin * kTileColumns * 4;
  float* partial = block.partial + g * block.rows() * kTileColumns;
  for (std::size_t t = block.tile_begin; t < block.tile_end; ++t) {
    const std::size_t row = block.row(t);
    const std::size_t tile_rows = block.row(t + 1) - row;
    const DotTileArgs tile{.left = block.rounded.words(c, d, t),
                           .stride = c.block_words,
                           .right = words + begin * kTileColumns,
                           .words = count,
                           .sums = partial + (row - block.row(block.tile_begin)) * kTileColumns,
                           .row_scales = block.rounded.scales(c, d, t),
                           .column_scales = scales + d * kTileColumns,
                           .starts = starts + d * kTileColumns,
                           .start = d == 0,
                           .ahead = next + (t - block.tile_begin) * share,
                           .ahead_step = kAheadSteps * share / count};
    if (last) prefetch_out(args, row, tile_rows, p);
    block.unit.multiply<Format>(tile_rows, tile);
    if (last) finish(args, tile.sums, row, tile_rows, p);
  }
}

template <class Format>
void multiply_dot_block(const DotBlock& block) {
  const GemmArgs& args = block.args;
  for (std::size_t begin = args.panel_begin; begin < args.panel_end; begin += kDotPanels) {
    const std::size_t end = smaller(begin + kDotPanels, args.panel_end);
    for (std::size_t d = 0; d < block.cut.blocks; ++d) {
      for (std::size_t p = begin; p < end; ++p) {
        multiply_dot_panel<Format>(block, p, p - begin, d);
      }
    }
  }
}

template <class Format>
void gemm_dot_of(const GemmArgs& args) {
  const DotCut cut = dot_cut(args);
  const RowCut rows = row_cut(args);
  const std::size_t tiles = args.tile_end - args.tile_begin;
  auto* const own = reinterpret_cast<std::uint32_t*>(args.scratch + partial_floats(rows));
  DotUnit unit;
  for (std::size_t b = 0; b < rows.blocks; ++b) {
    const std::size_t begin = args.tile_begin + tiles * b / rows.blocks;
    const std::size_t end = args.tile_begin + tiles * (b + 1) / rows.blocks;
    RoundedRows rounded = shared_rows(args);
    if (!args.rounded_before) {
      rounded = {.data = own, .first = begin, .tiles = end - begin};
      round_tiles<Format>(rounded, args, begin, end);
    }
    multiply_dot_block<Format>({.args = args,
                                .cut = cut,
                                .unit = unit,
                                .rounded = rounded,
                                .tile_begin = begin,
                                .tile_end = end,
                                .partial = args.scratch});
  }
}

inline void gemm_dot(const GemmArgs& args) {
  if (args.tile_end <= args.tile_begin || args.panel_end <= args.panel_begin) return;
  switch (args.format) {
    case PanelFormat::Int16: return gemm_dot_of<Int16Format>(args);
    case PanelFormat::Int8: return gemm_dot_of<Int8Format>(args);
    case PanelFormat::Bf16Pairs: return gemm_dot_of<Bf16Format>(args);
    case PanelFormat::Bf16:
    case PanelFormat::F16:
    case PanelFormat::F32: return;
  }
}

inline double dot_burst(PanelFormat format, std::size_t steps, float* sink) {
  if (format == PanelFormat::Int16) return dot_burst_of<Int16Format>(steps, sink);
#if defined(ZIMAGE_CPU_AMX)
  if (format == PanelFormat::Int8) return unit_burst_of<Int8Format>(steps, sink);
  return unit_burst_of<Bf16Format>(steps, sink);
#else
  if (format == PanelFormat::Int8) return dot_burst_of<Int8Format>(steps, sink);
  return dot_burst_of<Bf16Format>(steps, sink);
#endif
}

constexpr DotKernels make_dot_table(bool has_int8, bool has_bf16) {
  return {.has_int8 = has_int8,
          .has_bf16 = has_bf16,
          .tile_rows = DotUnit::kRows,
          .round = dot_round,
          .rounded_bytes = dot_rounded_bytes,
          .gemm = gemm_dot,
          .gemm_scratch = dot_scratch,
          .burst = dot_burst};
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
