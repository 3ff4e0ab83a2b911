// The register tile of products of words: up to kTileRows x 2 vectors of sums over one block of the
// depth, scaled and added to the sums in memory. Included by kernel files only (simd.h).
#pragma once

#include "backend/cpu/kernels/dot_quantize.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/tile.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

// One tile: sums = or += what left and right give over one block of the depth.
struct DotTileArgs {
  const std::uint32_t* left = nullptr;  // a tile as the unit's put() lays it
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

// What multiplies a tile: the vector registers.
struct VectorUnit {
  static constexpr std::size_t kRows = kTileRows;  // of a tile, at most
  static constexpr std::size_t kStepWords = 1;     // words of a left row that are read at once
  static constexpr std::size_t kBf16Block = dot_block(PanelFormat::Bf16Pairs);

  // Lays `count` words of row `row` into a tile of kRows rows of `stride` words.
  template <class Format>
  static void put(std::uint32_t* tile, std::size_t stride, std::size_t row,
                  const std::uint32_t* words, std::size_t count) {
    __builtin_memcpy(tile + row * stride, words, count * sizeof(*words));
  }

  template <class Format>
  void multiply(std::size_t rows, const DotTileArgs& args) {
    dot_tile_of<Format>(rows, args);
  }
};

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

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
