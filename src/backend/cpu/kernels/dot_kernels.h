// Matrix products in which one instruction multiplies and adds the two or four numbers of a 32-bit
// word: integers with a scale for each block of the depth, or bf16. Activations are rounded while
// the rows are packed. Included by kernel files only (simd.h).
//
// Integer sums are exact and blocks of the depth are added in order, so results do not depend on
// how rows and panels are split between threads.
#pragma once

#include "backend/cpu/kernels/dot_quantize.h"
#include "backend/cpu/kernels/gemm_finish.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/tile.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// Rows of a block: their numbers in one block of the depth and the sums of kDotPanels panels stay
// in the second cache.
constexpr std::size_t kDotRows = kLanes == 16 ? 288 : 192;
constexpr std::size_t kDotPanels = 16;

// One tile: sums = or += what left and right give over one block of the depth.
struct DotTileArgs {
  const std::uint32_t* left = nullptr;  // [rows][stride] words
  std::size_t stride = 0;
  const std::uint32_t* right = nullptr;  // [words][kTileColumns]
  std::size_t words = 0;
  float* sums = nullptr;                 // [rows][kTileColumns]
  const float* row_scales = nullptr;     // [rows]
  const float* column_scales = nullptr;  // [kTileColumns]
  const std::int32_t* starts = nullptr;  // [kTileColumns]
  bool start = true;                     // replace the sums
  const char* ahead = nullptr;           // TileArgs::ahead
  std::size_t ahead_step = 0;
};

template <class Format>
[[gnu::always_inline]] inline auto first_sum(const DotTileArgs& args, std::size_t column) {
  if constexpr (Format::kFormat == PanelFormat::Int8) return load_words(args.starts + column);
  if constexpr (Format::kFormat == PanelFormat::Int16) return no_words();
  if constexpr (Format::kFormat == PanelFormat::Bf16Pairs) return zero();
}

template <class Format>
[[gnu::always_inline]] inline void add_block(const DotTileArgs& args, typename Format::Sum sum,
                                             std::size_t row, std::size_t column) {
  float* to = args.sums + row * kTileColumns + column;
  Vec total;
  if constexpr (kScaled<Format>) {
    total = to_floats(sum) * load(args.column_scales + column);
    total = total * broadcast_load(args.row_scales + row);
  } else {
    total = sum;
  }
  store(to, args.start ? total : load(to) + total);
}

// Not inlined for the reason that tile() is not.
template <class Format, std::size_t kRows>
[[gnu::noinline]] void dot_tile(const DotTileArgs& args) {
  typename Format::Sum sums[kRows][2];
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kRows; ++r) {
    sums[r][0] = first_sum<Format>(args, 0);
    sums[r][1] = first_sum<Format>(args, kLanes);
  }
  const std::uint32_t* left = args.left;
  const std::uint32_t* right = args.right;
  const std::size_t stride = args.stride;
  const char* ahead = args.ahead;
  const std::uint32_t* const end = left + args.words;
  const auto step = [&] {
    const Words first = load_words(right);
    const Words second = load_words(right + kLanes);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kRows; ++r) {
      const Words x = broadcast_word(left + r * stride);
      sums[r][0] = Format::add(sums[r][0], x, first);
      sums[r][1] = Format::add(sums[r][1], x, second);
    }
    ++left;
    right += kTileColumns;
  };
  while (left + kAheadSteps <= end) {
    fetch(ahead, args.ahead_step);
    ahead += args.ahead_step;
    const std::uint32_t* const turn = left + kAheadSteps;
#pragma GCC unroll 1
    while (left < turn) step();
  }
  while (left < end) step();
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kRows; ++r) {
    add_block<Format>(args, sums[r][0], r, 0);
    add_block<Format>(args, sums[r][1], r, kLanes);
  }
}

template <class Format>
inline void dot_tile_of(std::size_t rows, const DotTileArgs& args) {
  using Tile = void (*)(const DotTileArgs&);
  if constexpr (kTileRows == 12) {
    static constexpr Tile kTiles[] = {
        dot_tile<Format, 1>, dot_tile<Format, 2>,  dot_tile<Format, 3>,  dot_tile<Format, 4>,
        dot_tile<Format, 5>, dot_tile<Format, 6>,  dot_tile<Format, 7>,  dot_tile<Format, 8>,
        dot_tile<Format, 9>, dot_tile<Format, 10>, dot_tile<Format, 11>, dot_tile<Format, 12>};
    kTiles[rows - 1](args);
  } else {
    static constexpr Tile kTiles[] = {dot_tile<Format, 1>, dot_tile<Format, 2>,
                                      dot_tile<Format, 3>, dot_tile<Format, 4>,
                                      dot_tile<Format, 5>, dot_tile<Format, 6>};
    kTiles[rows - 1](args);
  }
}

// --- The cut into blocks ---

struct DotCut {
  std::size_t depth_blocks;
  std::size_t block_words;  // of a full block of the depth
  std::size_t words;        // of the whole depth
  std::size_t tiles;        // of the call
  std::size_t row_blocks;
  std::size_t block_rows;  // the most rows of a row block

  // In 32-bit units, in the order in which they lie in the scratch.
  std::size_t packed() const { return depth_blocks * block_rows * block_words; }
  std::size_t scales() const { return depth_blocks * block_rows; }
  std::size_t partial() const { return kDotPanels * block_rows * kTileColumns; }
};

inline DotCut dot_cut(const GemmArgs& args) {
  const std::size_t in_word = 4 / size_of(args.format);
  DotCut c{};
  c.depth_blocks = ceil_div(args.depth, kDotBlock);
  c.block_words = kDotBlock / in_word;
  c.words = ceil_div(args.depth, in_word);
  c.tiles = args.tile_end - args.tile_begin;
  c.row_blocks = ceil_div(c.tiles * kTileRows, kDotRows);
  c.block_rows = ceil_div(c.tiles, c.row_blocks) * kTileRows;
  return c;
}

inline std::size_t dot_scratch(const GemmArgs& args) {
  if (args.tile_end <= args.tile_begin) return 0;
  const DotCut c = dot_cut(args);
  return 4 * (c.packed() + c.scales() + c.partial());
}

struct DotBlock {
  const GemmArgs& args;
  const DotCut& cut;
  std::size_t tile_begin, tile_end;
  std::uint32_t* packed;  // [depth block][row][block_words]
  float* scales;          // [depth block][row]
  float* partial;         // [panel of the group][row][kTileColumns]

  std::size_t row(std::size_t tile) const {
    return args.rows * tile / ceil_div(args.rows, kTileRows);
  }
  std::size_t rows() const { return row(tile_end) - row(tile_begin); }
};

template <class Format>
void round_left(const DotBlock& block) {
  const GemmArgs& args = block.args;
  const std::size_t rows = block.rows();
  const float* from = args.a + block.row(block.tile_begin) * args.a_stride;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t d = 0; d < block.cut.depth_blocks; ++d) {
      const std::size_t begin = d * kDotBlock;
      const std::size_t n = smaller(kDotBlock, args.depth - begin);
      std::uint32_t* words = block.packed + (d * rows + r) * block.cut.block_words;
      auto* to = Format::left(words);
      // The last word's other numbers meet zeros, which a NaN would survive.
      words[ceil_div(n, kInWord<Format>) - 1] = 0;
      const float* x = from + r * args.a_stride + begin;
      if constexpr (kScaled<Format>) {
        block.scales[d * rows + r] = quantize(to, x, n, Format::kMostLeft, Format::kOffset);
      } else {
        round_to_bf16(to, x, n);
      }
    }
  }
}

// Panel `p`, the `g`th of its group, and depth block `d` against all rows of the block.
template <class Format>
void multiply_dot_panel(const DotBlock& block, std::size_t p, std::size_t g, std::size_t d) {
  const GemmArgs& args = block.args;
  const DotCut& c = block.cut;
  const std::size_t bytes = panel_bytes(args.format, kLanes, args.depth);
  const char* panel = static_cast<const char*>(args.panels) + p * bytes;
  const auto* words = reinterpret_cast<const std::uint32_t*>(panel);
  const auto* scales = reinterpret_cast<const float*>(words + c.words * kTileColumns);
  const auto* starts =
      reinterpret_cast<const std::int32_t*>(scales + c.depth_blocks * kTileColumns);
  const std::size_t begin = d * c.block_words;
  const std::size_t count = smaller(c.block_words, c.words - begin);
  const std::size_t rows = block.rows();
  const std::size_t first_row = block.row(block.tile_begin);
  const std::size_t tiles = block.tile_end - block.tile_begin;
  const bool last = d + 1 == c.depth_blocks;
  // The same block of the panel that comes next lies one panel further.
  const std::size_t share = count * kTileColumns * 4 / tiles;
  const char* next = p + 1 < args.panel_end ? panel + bytes : panel;
  next += begin * kTileColumns * 4;
  float* partial = block.partial + g * rows * kTileColumns;
  for (std::size_t t = 0; t < tiles; ++t) {
    const std::size_t row = block.row(block.tile_begin + t);
    const std::size_t tile_rows = block.row(block.tile_begin + t + 1) - row;
    const std::size_t at = row - first_row;
    const DotTileArgs tile{.left = block.packed + (d * rows + at) * c.block_words,
                           .stride = c.block_words,
                           .right = words + begin * kTileColumns,
                           .words = count,
                           .sums = partial + at * kTileColumns,
                           .row_scales = block.scales + d * rows + at,
                           .column_scales = scales + d * kTileColumns,
                           .starts = starts + d * kTileColumns,
                           .start = d == 0,
                           .ahead = next + t * share,
                           .ahead_step = kAheadSteps * share / count};
    if (last) prefetch_out(args, row, tile_rows, p);
    dot_tile_of<Format>(tile_rows, tile);
    if (last) finish(args, tile.sums, row, tile_rows, p);
  }
}

template <class Format>
void gemm_dot_of(const GemmArgs& args) {
  const DotCut c = dot_cut(args);
  auto* const packed = reinterpret_cast<std::uint32_t*>(args.scratch);
  auto* const scales = reinterpret_cast<float*>(packed + c.packed());
  for (std::size_t b = 0; b < c.row_blocks; ++b) {
    const DotBlock block{.args = args,
                         .cut = c,
                         .tile_begin = args.tile_begin + c.tiles * b / c.row_blocks,
                         .tile_end = args.tile_begin + c.tiles * (b + 1) / c.row_blocks,
                         .packed = packed,
                         .scales = scales,
                         .partial = scales + c.scales()};
    round_left<Format>(block);
    for (std::size_t begin = args.panel_begin; begin < args.panel_end; begin += kDotPanels) {
      const std::size_t end = smaller(begin + kDotPanels, args.panel_end);
      for (std::size_t d = 0; d < c.depth_blocks; ++d) {
        for (std::size_t p = begin; p < end; ++p) {
          multiply_dot_panel<Format>(block, p, p - begin, d);
        }
      }
    }
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

// As many chains as a tile has, so that neither latency nor the loop limits it.
template <class Format>
double dot_burst_of(std::size_t steps, float* sink) {
  constexpr std::size_t kSums = 2 * kTileRows;
  // Each its own number, or equal chains would be computed once.
  alignas(64) std::uint32_t numbers_of[kSums][kLanes];
  for (std::size_t i = 0; i < kSums; ++i) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      numbers_of[i][j] = 0x3c013c01U + static_cast<std::uint32_t>(i * kLanes + j);
    }
  }
  const Words numbers = load_words(numbers_of[0]);
  typename Format::Sum sums[kSums];
#pragma GCC unroll 32
  for (std::size_t i = 0; i < kSums; ++i) {
    if constexpr (kScaled<Format>) sums[i] = load_words(numbers_of[i]);
    if constexpr (!kScaled<Format>) sums[i] = load(reinterpret_cast<const float*>(numbers_of[i]));
  }
  for (std::size_t s = 0; s < steps; ++s) {
#pragma GCC unroll 32
    for (std::size_t i = 0; i < kSums; ++i) {
      // The sum as an operand, because a product of constants would be computed once.
      if constexpr (kScaled<Format>) sums[i] = Format::add(sums[i], sums[i], numbers);
      if constexpr (!kScaled<Format>) sums[i] = Format::add(sums[i], numbers, numbers);
    }
  }
  Vec total = zero();
#pragma GCC unroll 32
  for (std::size_t i = 0; i < kSums; ++i) {
    if constexpr (kScaled<Format>) total = total + to_floats(sums[i]);
    if constexpr (!kScaled<Format>) total = total + sums[i];
  }
  *sink = sum(total);
  return 2.0 * static_cast<double>(steps * kSums * kLanes * kInWord<Format>);
}

inline double dot_burst(PanelFormat format, std::size_t steps, float* sink) {
  if (format == PanelFormat::Int8) return dot_burst_of<Int8Format>(steps, sink);
  if (format == PanelFormat::Int16) return dot_burst_of<Int16Format>(steps, sink);
  return dot_burst_of<Bf16Format>(steps, sink);
}

constexpr DotKernels make_dot_table(bool has_int8, bool has_bf16) {
  return {.has_int8 = has_int8,
          .has_bf16 = has_bf16,
          .gemm = gemm_dot,
          .gemm_scratch = dot_scratch,
          .burst = dot_burst};
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
