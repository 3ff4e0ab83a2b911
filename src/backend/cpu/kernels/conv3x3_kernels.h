// The 3x3 convolution's inner functions as a table, one for each instruction set (kernels.h). What
// enters: a convolution described by raw pointers and the part of it to compute; what leaves: that
// part of the output. A kernel uses one thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zimage::cpu {

// Output channels of one packed panel of weights, the same for every instruction set.
inline constexpr std::ptrdiff_t kConvPanel = 16;
// Output channels that are multiplied before they are transformed back.
inline constexpr std::ptrdiff_t kConvGroup = 2 * kConvPanel;
// The Winograd algorithm makes tiles of 4 x 4 outputs from 6 x 6 inputs with 6 x 6 products.
inline constexpr std::ptrdiff_t kTileSide = 4;
inline constexpr std::ptrdiff_t kPointCount = 6;
// Products of a tile: one matrix product for each.
inline constexpr std::ptrdiff_t kTilePoints = kPointCount * kPointCount;
// The interpolation points are 0, 1, -1, kPoint, -kPoint and infinity. 5/8 and its square and cube
// are exact in f32; among pairs +-1, +-q it has the least largest error (bench/RESULTS.md).
inline constexpr double kPoint = 0.625;
// Most output channels of a kernel that is applied directly, without Winograd.
inline constexpr std::ptrdiff_t kMaxDirectOut = 4;

// One convolution: stride 1, zero padding 1, channels last. With downsample_2x all is computed and
// the pixels of odd rows and columns are stored, which takes Winograd as many products as stride 2
// takes the direct algorithm.
struct ConvTask {
  const float* x = nullptr;  // [height, width, in], or half of both with upsample_2x
  float* out = nullptr;      // [height, width, out_channels], or half of both with downsample_2x
  const float* weight = nullptr;  // packed by pack_conv3x3
  const float* bias = nullptr;    // [out_channels], or null
  const float* zeros = nullptr;   // in zeros: what padding reads
  std::ptrdiff_t height = 0;
  std::ptrdiff_t width = 0;
  std::ptrdiff_t in = 0;
  std::ptrdiff_t out_channels = 0;
  bool upsample_2x = false;
  bool downsample_2x = false;
  bool accumulate = false;
};

// Where a block keeps its transformed inputs V and its products M in scratch memory, in floats:
// V is [point][tile][in], M behind it is [tile][point][kConvGroup].
struct WinogradLayout {
  std::ptrdiff_t v_row = 0;    // from tile to tile
  std::ptrdiff_t v_point = 0;  // from point to point
  std::ptrdiff_t v_floats = 0;
  std::ptrdiff_t m_floats = 0;
};
// From tile to tile of M. Strides are an odd number of cache lines: streams that advance together
// otherwise fall into a few cache sets and evict each other.
inline constexpr std::ptrdiff_t kProductRow = kTilePoints * kConvGroup + kConvPanel;

// Tiles [first_tile, first_tile + tiles), row by row, of output channels
// [first_panel, last_panel) x kConvPanel.
struct ConvBlock {
  std::ptrdiff_t first_tile = 0;
  std::ptrdiff_t tiles = 0;
  std::ptrdiff_t first_panel = 0;
  std::ptrdiff_t last_panel = 0;
  WinogradLayout layout;
};

struct ConvKernels {
  // `scratch`: v_floats + m_floats of block.layout, aligned to 64 bytes.
  void (*winograd)(const ConvTask& task, const ConvBlock& block, float* scratch);
  // Row `row`, an odd one with downsample_2x; task.out_channels <= kMaxDirectOut.
  void (*direct)(const ConvTask& task, std::ptrdiff_t row);
};

}  // namespace zimage::cpu
