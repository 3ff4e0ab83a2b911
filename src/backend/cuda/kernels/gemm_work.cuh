// What a product of gemm_sm90.cu consists of: its sizes, and which tiles each cluster of two blocks
// takes in which order.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "backend/cuda/kernels/kernels.h"

namespace zimage::cuda::kernels {

struct Work {
  int row_tiles;
  int column_tiles;
  int steps;  // stages of one tile
  int whole_items;
  int parts;          // of each further item, by steps
  GemmMemory memory;  // where there are parts
  int steps_per_tap;  // of a convolution
  int taps_across;    // kernel width
  int tap_offset_y;   // what to add to a tap's row and column
  int tap_offset_x;
  int tiles_across;  // of the map
  int width;         // of the map, and its rows
  int height;
  int columns;  // of out
  int rows;
  int pixel_stride;  // of out in numbers, and of its rows
  std::int64_t row_stride;
  const float* x_scales;  // of fp8 operands: of each row of x and of W
  const float* w_scales;
  const float* x_lengths;  // and what bounds their products
  const unsigned* w_longest;
  float* out_scales;  // of e4m3 results
  unsigned* greatest_value;
  RopeInputs rope;
  const float* bias;
  __nv_bfloat16* out;
  bool silu;
  bool accumulate;
  bool direct;  // out's rows are not multiples of 16 bytes: write from registers
};

// What the two blocks of a cluster do: neighbours in rows share W, neighbours in columns share x.
// Items that would leave most clusters idle at the end are cut into parts by steps; whoever ends an
// item's last part adds them up.
struct Item {
  int row_tile;
  int column_tile;
  bool share_w;
  int cut;   // its number among the items that are cut
  int part;  // -1 for the whole
  int begin;
  int end;
};

// Row pairs that walk over the columns together, for the L2's sake: at 3840 inputs their x and the
// weights beside it are about as large, the least that a wave reads.
constexpr int kGroup = 8;

__host__ __device__ inline int items_of(const Work& work) {
  return work.row_tiles / 2 * work.column_tiles +
         work.row_tiles % 2 * ((work.column_tiles + 1) / 2);
}

// Items, and parts of those that are cut.
__host__ __device__ inline int pieces_of(const Work& work) {
  return work.whole_items + (items_of(work) - work.whole_items) * work.parts;
}

__device__ __forceinline__ Item item_at(const Work& work, int piece, int rank) {
  Item item{0, 0, true, 0, -1, 0, work.steps};
  int index = piece;
  if (piece >= work.whole_items) {
    item.cut = (piece - work.whole_items) / work.parts;
    index = work.whole_items + item.cut;
    if (work.parts > 1) {
      item.part = (piece - work.whole_items) % work.parts;
      item.begin = work.steps * item.part / work.parts;
      item.end = work.steps * (item.part + 1) / work.parts;
    }
  }
  const int pairs = work.row_tiles / 2;
  const int paired = pairs * work.column_tiles;
  if (index >= paired) {
    item.row_tile = work.row_tiles - 1;
    item.column_tile = 2 * (index - paired) + rank;
    item.share_w = false;
    return item;
  }
  const int group = index / (kGroup * work.column_tiles);
  const int height = min(kGroup, pairs - group * kGroup);
  const int within = index - group * kGroup * work.column_tiles;
  item.row_tile = 2 * (group * kGroup + within % height) + rank;
  item.column_tile = within / height;
  return item;
}

}  // namespace zimage::cuda::kernels
