// Matrix products of activations with packed weights, with what follows them (bias, SiLU, SwiGLU,
// residual) done while the sums are in the first cache. Included by kernel files only (simd.h).
//
// The order of additions for one output depends on the depth and the block sizes, never on how rows
// and panels are split between threads.
#pragma once

#include "backend/cpu/kernels/gemm_finish.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/tile.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// With 16 lanes a widened panel of 384 steps is 48 KiB and one in bf16 24 KiB; with 8 lanes one in
// bf16 is 16 KiB and one in f32 too. A tile's rows take 12 to 18 KiB beside it.
constexpr GemmBlocks kBlocks =
    kLanes == 16 ? GemmBlocks{144, 16, 384, 384} : GemmBlocks{96, 32, 512, 256};
// Tiles below which widening a panel first costs more than it saves.
constexpr std::size_t kWidenTiles = 4;

// --- The cut into blocks ---

struct GemmCut {
  std::size_t depth;         // of one block, a multiple of 16
  std::size_t depth_blocks;  // 1: the sums never leave their tile
  std::size_t tiles;         // of the call
  std::size_t row_blocks;
  std::size_t block_tiles;  // the most tiles of a row block
};

inline GemmCut cut(const GemmArgs& args) {
  const std::size_t most =
      args.format == PanelFormat::Bf16 ? kBlocks.bf16_depth : kBlocks.other_depth;
  GemmCut c{};
  c.depth_blocks = ceil_div(args.depth, most);
  c.depth = round_up(ceil_div(args.depth, c.depth_blocks), 16);
  c.depth_blocks = ceil_div(args.depth, c.depth);
  c.tiles = args.tile_end - args.tile_begin;
  c.row_blocks = ceil_div(c.tiles * kTileRows, kBlocks.rows);
  c.block_tiles = ceil_div(c.tiles, c.row_blocks);
  return c;
}

inline std::size_t packed_floats(const GemmCut& c) {
  return c.depth_blocks == 1 ? 0 : c.block_tiles * kTileRows * c.depth_blocks * c.depth;
}
inline std::size_t partial_floats(const GemmCut& c) {
  return c.depth_blocks == 1 ? kTileFloats : kBlocks.panels * c.block_tiles * kTileFloats;
}

inline std::size_t gemm_scratch(const GemmArgs& args) {
  if (args.rows <= kTileRows || args.tile_end <= args.tile_begin) return 0;
  const GemmCut c = cut(args);
  return 4 * (packed_floats(c) + partial_floats(c) + c.depth * kTileColumns);
}

// --- The loops ---

template <class Panel>
inline Panel panel_at(const void* data) {
  return {static_cast<decltype(Panel::data)>(data)};
}

template <class Stored>
void widen_panel(float* out, const void* panel, std::size_t depth) {
  const Stored stored = panel_at<Stored>(panel);
  for (std::size_t k = 0; k < depth; ++k) {
    Vec first;
    Vec second;
    stored.row(k, first, second);
    store(out + k * kTileColumns, first);
    store(out + k * kTileColumns + kLanes, second);
  }
}

// Up to kTileRows rows: every panel is read once from memory, in order, so nothing is worth
// keeping.
template <class Panel>
void gemm_narrow(const GemmArgs& args) {
  constexpr std::size_t kAhead = 2048;
  alignas(64) float sums[kTileFloats];
  const RowMajor left{args.a, args.a_stride};
  const std::size_t bytes = args.depth * Panel::kRowBytes;
  for (std::size_t p = args.panel_begin; p < args.panel_end; ++p) {
    const char* panel = static_cast<const char*>(args.panels) + p * bytes;
    const TileArgs tile_args{.depth = args.depth,
                             .sums = sums,
                             .ahead = panel + kAhead,
                             .ahead_step = kAheadSteps * Panel::kRowBytes};
    tile_of(args.rows, tile_args, left, panel_at<Panel>(panel));
    finish(args, sums, 0, args.rows, p);
  }
}

// One row block of the blocked product: what stays the same while panels and depth blocks pass by.
struct RowBlock {
  const GemmArgs& args;
  const GemmCut& cut;
  std::size_t tile_begin, tile_end;
  float* packed;   // [depth block][row][cut.depth], or unused with one depth block
  float* partial;  // [panel of the group][tile][kTileFloats], or one tile's sums
  float* widened;  // [cut.depth][kTileColumns]

  std::size_t row(std::size_t tile) const {
    return args.rows * tile / ceil_div(args.rows, kTileRows);
  }
  std::size_t rows() const { return row(tile_end) - row(tile_begin); }
};

// Copies the block's rows so that each depth block is contiguous: far rows would share cache sets.
inline void pack_left(const RowBlock& block) {
  const GemmArgs& args = block.args;
  const std::size_t rows = block.rows();
  const float* from = args.a + block.row(block.tile_begin) * args.a_stride;
  for (std::size_t d = 0; d < block.cut.depth_blocks; ++d) {
    const std::size_t begin = d * block.cut.depth;
    const std::size_t depth = smaller(block.cut.depth, args.depth - begin);
    for (std::size_t r = 0; r < rows; ++r) {
      float* to = block.packed + (d * rows + r) * block.cut.depth;
      __builtin_memcpy(to, from + r * args.a_stride + begin, depth * sizeof(float));
    }
  }
}

// Panel `p` and depth block `d` against all rows of the block; `next` is read afterwards.
template <class Stored, class Panel>
void multiply_panel(const RowBlock& block, std::size_t p, std::size_t d, float* partial,
                    const char* next) {
  const GemmArgs& args = block.args;
  const GemmCut& c = block.cut;
  const std::size_t begin = d * c.depth;
  const std::size_t depth = smaller(c.depth, args.depth - begin);
  const void* right =
      static_cast<const char*>(args.panels) + (p * args.depth + begin) * Stored::kRowBytes;
  if (sizeof(*Stored::data) != sizeof(*Panel::data)) {
    widen_panel<Stored>(block.widened, right, depth);
    right = block.widened;
  }
  const std::size_t tiles = block.tile_end - block.tile_begin;
  const bool direct = c.depth_blocks == 1;
  const std::size_t first_row = block.row(block.tile_begin);
  const float* left =
      direct ? args.a + first_row * args.a_stride : block.packed + d * block.rows() * c.depth;
  const std::size_t stride = direct ? args.a_stride : c.depth;
  const std::size_t share = depth * Stored::kRowBytes / tiles;
  for (std::size_t t = 0; t < tiles; ++t) {
    const std::size_t row = block.row(block.tile_begin + t);
    const std::size_t rows = block.row(block.tile_begin + t + 1) - row;
    float* sums = direct ? partial : partial + t * kTileFloats;
    const TileArgs tile_args{.depth = depth,
                             .sums = sums,
                             .start = d == 0,
                             .ahead = next + t * share,
                             .ahead_step = kAheadSteps * share / depth};
    if (d + 1 == c.depth_blocks) prefetch_out(args, row, rows, p);
    tile_of(rows, tile_args, RowMajor{left + (row - first_row) * stride, stride},
            panel_at<Panel>(right));
    if (d + 1 == c.depth_blocks) finish(args, sums, row, rows, p);
  }
}

// What is read after panel p and depth block d of the group of panels [begin, end).
template <class Stored>
const char* next_panel(const RowBlock& block, std::size_t p, std::size_t d, std::size_t begin,
                       std::size_t end) {
  std::size_t next = p + 1;
  if (next == end && d + 1 < block.cut.depth_blocks) {
    next = begin;
    ++d;
  } else if (next == end) {
    // The first block of the next group, or anything that exists.
    d = 0;
    if (next == block.args.panel_end) next = p;
  }
  return static_cast<const char*>(block.args.panels) +
         (next * block.args.depth + d * block.cut.depth) * Stored::kRowBytes;
}

template <class Stored, class Panel>
void multiply_block(const RowBlock& block) {
  const GemmArgs& args = block.args;
  const bool direct = block.cut.depth_blocks == 1;
  if (!direct) pack_left(block);
  const std::size_t floats = (block.tile_end - block.tile_begin) * kTileFloats;
  for (std::size_t begin = args.panel_begin; begin < args.panel_end; begin += kBlocks.panels) {
    const std::size_t end = smaller(begin + kBlocks.panels, args.panel_end);
    for (std::size_t d = 0; d < block.cut.depth_blocks; ++d) {
      for (std::size_t p = begin; p < end; ++p) {
        float* partial = direct ? block.partial : block.partial + (p - begin) * floats;
        multiply_panel<Stored, Panel>(block, p, d, partial,
                                      next_panel<Stored>(block, p, d, begin, end));
      }
    }
  }
}

template <class Stored, class Panel>
void gemm_blocked(const GemmArgs& args) {
  const GemmCut c = cut(args);
  float* partial = args.scratch + packed_floats(c);
  float* widened = partial + partial_floats(c);
  for (std::size_t b = 0; b < c.row_blocks; ++b) {
    const RowBlock block{.args = args,
                         .cut = c,
                         .tile_begin = args.tile_begin + c.tiles * b / c.row_blocks,
                         .tile_end = args.tile_begin + c.tiles * (b + 1) / c.row_blocks,
                         .packed = args.scratch,
                         .partial = partial,
                         .widened = widened};
    multiply_block<Stored, Panel>(block);
  }
}

template <class Stored>
void gemm_of(const GemmArgs& args, bool widen) {
  if (args.rows <= kTileRows) {
    gemm_narrow<Stored>(args);
  } else if (widen && args.tile_end - args.tile_begin >= kWidenTiles) {
    gemm_blocked<Stored, F32Panel>(args);
  } else {
    gemm_blocked<Stored, Stored>(args);
  }
}

inline void gemm(const GemmArgs& args) {
  if (args.tile_end <= args.tile_begin || args.panel_end <= args.panel_begin) return;
  switch (args.format) {
    case PanelFormat::Bf16: return gemm_of<Bf16Panel>(args, args.widen);
    // Halves take more than a shift to widen.
    case PanelFormat::F16: return gemm_of<F16Panel>(args, true);
    case PanelFormat::F32: return gemm_of<F32Panel>(args, false);
    case PanelFormat::Int16:
    case PanelFormat::Int8:
    case PanelFormat::Bf16Pairs: return;
  }
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
