// The tile of products of words on the matrix unit (AMX): 32 x 32 sums over one block of the depth
// stay in four of its eight registers, two more hold rows and two a panel's words. Included by
// kernels/avx512_amx.cc only, through dot_kernels.h.
//
// Assembly and not intrinsics: those do not tell the compiler that they read memory.
#pragma once

#include "backend/cpu/kernels/dot_tile.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

#define ZIMAGE_TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::)
#define ZIMAGE_TILE_LOAD(tile, from, stride) \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"(stride) : "memory")
#define ZIMAGE_TILE_STORE(tile, to, stride) \
  __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"(stride) : "memory")
// sums += left right, of words of four bytes (unsigned on the left) or of two bf16 numbers.
#define ZIMAGE_TILE_MULTIPLY(sums, left, right)                                    \
  if constexpr (Format::kFormat == PanelFormat::Int8) {                            \
    __asm__ volatile("tdpbusd %%tmm" #right ", %%tmm" #left ", %%tmm" #sums ::);   \
  } else {                                                                         \
    __asm__ volatile("tdpbf16ps %%tmm" #right ", %%tmm" #left ", %%tmm" #sums ::); \
  }

// Registers: 0 1 the sums of the first 16 rows, 2 3 of the others; 4 5 rows; 6 7 the two halves of
// a panel.
constexpr std::size_t kUnitRows = 16;
constexpr std::size_t kUnitWords = 16;  // of a row of a register
constexpr std::size_t kPanelStride = kTileColumns * 4;
constexpr std::size_t kLeftStride = kUnitWords * 4;

// What LDTILECFG reads.
struct alignas(64) UnitShape {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

template <class Format>
inline void add_step(const std::uint32_t* left, const std::uint32_t* right, bool both) {
  ZIMAGE_TILE_LOAD(6, right, kPanelStride);
  ZIMAGE_TILE_LOAD(4, left, kLeftStride);
  ZIMAGE_TILE_MULTIPLY(0, 4, 6)
  ZIMAGE_TILE_LOAD(7, right + kLanes, kPanelStride);
  ZIMAGE_TILE_MULTIPLY(1, 4, 7)
  if (!both) return;
  ZIMAGE_TILE_LOAD(5, left + kUnitRows * kUnitWords, kLeftStride);
  ZIMAGE_TILE_MULTIPLY(2, 5, 6)
  ZIMAGE_TILE_MULTIPLY(3, 5, 7)
}

inline void start_sums(const float* sums, bool both) {
  if (sums == nullptr) {
    ZIMAGE_TILE_ZERO(0);
    ZIMAGE_TILE_ZERO(1);
    // Registers without rows are no operands of anything.
    if (!both) return;
    ZIMAGE_TILE_ZERO(2);
    ZIMAGE_TILE_ZERO(3);
    return;
  }
  ZIMAGE_TILE_LOAD(0, sums, kPanelStride);
  ZIMAGE_TILE_LOAD(1, sums + kLanes, kPanelStride);
  if (!both) return;
  ZIMAGE_TILE_LOAD(2, sums + kUnitRows * kTileColumns, kPanelStride);
  ZIMAGE_TILE_LOAD(3, sums + kUnitRows * kTileColumns + kLanes, kPanelStride);
}

inline void store_sums(void* sums, bool both) {
  auto* const to = static_cast<float*>(sums);
  ZIMAGE_TILE_STORE(0, to, kPanelStride);
  ZIMAGE_TILE_STORE(1, to + kLanes, kPanelStride);
  if (!both) return;
  ZIMAGE_TILE_STORE(2, to + kUnitRows * kTileColumns, kPanelStride);
  ZIMAGE_TILE_STORE(3, to + kUnitRows * kTileColumns + kLanes, kPanelStride);
}

template <class Format>
inline void add_words(const DotTileArgs& args, bool both) {
  const std::uint32_t* left = args.left;
  const std::uint32_t* right = args.right;
  const char* ahead = args.ahead;
  const std::uint32_t* const end = right + args.words / kUnitWords * kUnitWords * kTileColumns;
  while (right < end) {
    for (std::size_t i = 0; i < kUnitWords / kAheadSteps; ++i) {
      fetch(ahead, args.ahead_step);
      ahead += args.ahead_step;
    }
    add_step<Format>(left, right, both);
    left += 2 * kUnitRows * kUnitWords;
    right += kUnitWords * kTileColumns;
  }
  const std::size_t rest = args.words % kUnitWords;
  if (rest == 0) return;
  // What lies behind the panel may be no number, which the zeros in the rows would not make one.
  alignas(64) std::uint32_t filled[kUnitWords * kTileColumns] = {};
  __builtin_memcpy(filled, right, rest * kPanelStride);
  add_step<Format>(left, filled, both);
}

// What multiplies a tile: the matrix unit, but for numbers of 16 bits, which it does not have.
class MatrixUnit {
 public:
  static constexpr std::size_t kRows = 2 * kUnitRows;
  static constexpr std::size_t kStepWords = kUnitWords;
  // So that a panel's words stay in the first cache beside the rows.
  static constexpr std::size_t kBf16Block = 256;

  MatrixUnit() = default;
  ~MatrixUnit() {
    if (rows_ != 0) __asm__ volatile("tilerelease" ::);
  }
  MatrixUnit(const MatrixUnit&) = delete;
  MatrixUnit& operator=(const MatrixUnit&) = delete;

  // Step by step, so that the rows of a register lie side by side; rows of 16 bits as in vectors.
  template <class Format>
  static void put(std::uint32_t* tile, std::size_t stride, std::size_t row,
                  const std::uint32_t* words, std::size_t count) {
    if constexpr (Format::kFormat == PanelFormat::Int16) {
      VectorUnit::put<Format>(tile, stride, row, words, count);
    } else {
      for (std::size_t w = 0; w < count; w += kUnitWords) {
        __builtin_memcpy(tile + w * kRows + row * kUnitWords, words + w, kLeftStride);
      }
    }
  }

  template <class Format>
  void multiply(std::size_t rows, const DotTileArgs& args) {
    if constexpr (Format::kFormat == PanelFormat::Int16) {
      multiply_in_vectors<Format>(rows, args);
    } else {
      shape(rows);
      multiply_in_unit<Format>(rows, args);
    }
  }

  // Gives the registers the shapes for so many rows.
  void shape(std::size_t rows) {
    if (rows == rows_) return;
    const auto first = static_cast<std::uint8_t>(rows < kUnitRows ? rows : kUnitRows);
    const auto second = static_cast<std::uint8_t>(rows - first);
    const std::uint8_t rows_of[8] = {first, first,  second,     second,
                                     first, second, kUnitWords, kUnitWords};
    UnitShape made;
    for (int i = 0; i < 8; ++i) {
      made.rows[i] = rows_of[i];
      made.row_bytes[i] = rows_of[i] == 0 ? 0 : kUnitWords * 4;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(made));
    rows_ = rows;
  }

 private:
  template <class Format>
  static void multiply_in_vectors(std::size_t rows, const DotTileArgs& args) {
    DotTileArgs part = args;
    for (std::size_t row = 0; row < rows; row += kTileRows) {
      part.left = args.left + row * args.stride;
      part.sums = args.sums + row * kTileColumns;
      part.row_scales = args.row_scales + row;
      dot_tile_of<Format>(rows - row < kTileRows ? rows - row : kTileRows, part);
    }
  }

  template <class Format>
  static void multiply_in_unit(std::size_t rows, const DotTileArgs& args) {
    const bool both = rows > kUnitRows;
    if constexpr (!kScaled<Format>) {
      start_sums(args.start ? nullptr : args.sums, both);
      add_words<Format>(args, both);
      store_sums(args.sums, both);
    } else {
      alignas(64) std::int32_t sums[kRows * kTileColumns];
      start_sums(nullptr, both);
      add_words<Format>(args, both);
      store_sums(sums, both);
      const Words starts[2] = {load_words(args.starts), load_words(args.starts + kLanes)};
      for (std::size_t r = 0; r < rows; ++r) {
        const std::int32_t* from = sums + r * kTileColumns;
        add_block<Format>(args, add(load_words(from), starts[0]), r, 0);
        add_block<Format>(args, add(load_words(from + kLanes), starts[1]), r, kLanes);
      }
    }
  }

  static Words add(Words a, Words b) { return {_mm512_add_epi32(a.v, b.v)}; }

  std::size_t rows_ = 0;  // what the registers are shaped for, 0 before the first
};

// Like dot_burst_of, on four registers of sums.
template <class Format>
double unit_burst_of(std::size_t steps, float* sink) {
  alignas(64) float sums[MatrixUnit::kRows * kTileColumns] = {};
  MatrixUnit unit;
  unit.shape(MatrixUnit::kRows);
  start_sums(nullptr, true);
  ZIMAGE_TILE_LOAD(4, sums, kPanelStride);
  ZIMAGE_TILE_LOAD(5, sums, kPanelStride);
  ZIMAGE_TILE_LOAD(6, sums, kPanelStride);
  ZIMAGE_TILE_LOAD(7, sums, kPanelStride);
  for (std::size_t s = 0; s < steps; ++s) {
    ZIMAGE_TILE_MULTIPLY(0, 4, 6)
    ZIMAGE_TILE_MULTIPLY(1, 4, 7)
    ZIMAGE_TILE_MULTIPLY(2, 5, 6)
    ZIMAGE_TILE_MULTIPLY(3, 5, 7)
  }
  store_sums(sums, true);
  *sink = sums[0];
  constexpr double kProducts =
      static_cast<double>(MatrixUnit::kRows * kTileColumns * kUnitWords * kInWord<Format>);
  return 2.0 * kProducts * static_cast<double>(steps);
}

#undef ZIMAGE_TILE_ZERO
#undef ZIMAGE_TILE_LOAD
#undef ZIMAGE_TILE_STORE
#undef ZIMAGE_TILE_MULTIPLY

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
