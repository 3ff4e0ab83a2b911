// Products on Hopper: out = x W^T for matrices of bf16 or e4m3 and, tap by tap, for convolutions of
// bf16. Persistent blocks in clusters of two: one warp feeds shared memory through the copy engine,
// two warpgroups multiply with wgmma and hand their tiles back through it. The two blocks of a
// cluster read one operand in common, half each, and multicast it.
#include <algorithm>
#include <array>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/fp8.cuh"
#include "backend/cuda/kernels/gemm_work.cuh"
#include "backend/cuda/kernels/hopper.cuh"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"
#include "backend/cuda/kernels/wgmma.cuh"
#include "backend/cuda/tensor_map.h"

namespace zimage::cuda::kernels {
namespace {

using namespace hopper;  // NOLINT(google-build-using-namespace): the kernel is written in these
                         // words

constexpr int kRowBytes = 128;  // of a stage: one row of the swizzle
constexpr int kThreads = 384;
constexpr int kConsumers = 2;          // warpgroups that multiply
constexpr int kBoxWidth = 16;          // pixels of a convolution's tile
constexpr int kChunkBytes = 64 * 128;  // [64 rows, 64 columns] on the way out
constexpr int kHeadDim = 128;          // of heads that are turned

enum class Operand { Matrix, Map, Fp8 };

// Numbers of a stage along the depth.
template <Operand kOperand>
constexpr int kDepth = kOperand == Operand::Fp8 ? kRowBytes : kRowBytes / 2;

// Rows of a tile are 128 * kRowBlocks: each warpgroup takes kRowBlocks times 64.
template <int kRowBlocks, int kColumns>
struct Tile {
  static constexpr int kRows = 128 * kRowBlocks;
  static constexpr int kBytesX = kRows * 128;
  static constexpr int kBytesW = kColumns * 128;
  static constexpr int kBytes = kBytesX + kBytesW;
  static constexpr int kOutBytes = kConsumers * 2 * kChunkBytes;
  static constexpr int kStages = std::min(8, (227 * 1024 - 1024 - 256 - kOutBytes) / kBytes);
  static constexpr int kShared = 1024 + kStages * kBytes + kOutBytes + 256;
};

template <Operand kOperand, int kRowBlocks, int kColumns>
__device__ void produce(const CUtensorMap& x_map, const CUtensorMap& w_map, const Work& work,
                        std::uint32_t tiles, std::uint32_t full, std::uint32_t empty) {
  using T = Tile<kRowBlocks, kColumns>;
  constexpr int kStep = kDepth<kOperand>;
  const int rank = static_cast<int>(cluster_rank());
  int stage = 0;
  std::uint32_t phase = 0;
  for (int index = static_cast<int>(blockIdx.x) / 2; index < pieces_of(work);
       index += static_cast<int>(gridDim.x) / 2) {
    const Item item = item_at(work, index, rank);
    for (int step = item.begin; step < item.end; ++step) {
      wait(empty + 8 * stage, phase ^ 1);
      const std::uint32_t barrier = full + 8 * stage;
      const std::uint32_t x_tile = tiles + stage * T::kBytes;
      const std::uint32_t w_tile = x_tile + T::kBytesX;
      arrive_expecting(barrier, T::kBytes);
      if constexpr (kOperand == Operand::Map) {
        const int tap = step / work.steps_per_tap;
        const int x = item.row_tile % work.tiles_across * kBoxWidth + tap % work.taps_across +
                      work.tap_offset_x;
        const int y = item.row_tile / work.tiles_across * (T::kRows / kBoxWidth) +
                      tap / work.taps_across + work.tap_offset_y;
        const int channel = step % work.steps_per_tap * kStep;
        // Where the blocks share x each still fetches its own: that is one row of tiles at most.
        load_3d(x_tile, x_map, channel, x, y, barrier);
      } else if (item.share_w) {
        load_2d(x_tile, x_map, step * kStep, item.row_tile * T::kRows, barrier);
        load_2d(x_tile + T::kBytesX / 2, x_map, step * kStep,
                item.row_tile * T::kRows + T::kRows / 2, barrier);
      } else {
        load_2d_multicast(x_tile + rank * T::kBytesX / 2, x_map, step * kStep,
                          item.row_tile * T::kRows + rank * T::kRows / 2, barrier, 3);
      }
      if (item.share_w) {
        load_2d_multicast(w_tile + rank * T::kBytesW / 2, w_map, step * kStep,
                          item.column_tile * kColumns + rank * kColumns / 2, barrier, 3);
      } else {
        load_2d(w_tile, w_map, step * kStep, item.column_tile * kColumns, barrier);
        load_2d(w_tile + T::kBytesW / 2, w_map, step * kStep,
                item.column_tile * kColumns + kColumns / 2, barrier);
      }
      if (++stage == T::kStages) {
        stage = 0;
        phase ^= 1;
      }
    }
  }
}

// Where a chunk goes: column and row of a matrix, or channel, column and row of a map.
struct Target {
  int column;
  int x;
  int y;
};

// Hands one chunk of 64 rows of 128 bytes to the copy engine; fill() writes it.
template <Operand kOperand, typename Fill>
__device__ __forceinline__ void send_chunk(const CUtensorMap& out_map, std::uint32_t chunk,
                                           int named, const Target& target, Fill fill) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  if (thread == 0)
    wait_stores_read<1>();  // the other chunk may still be on its way, this one is free
  named_sync(named, 128);
  fill();
  fence_async_proxy();
  named_sync(named, 128);
  if (thread != 0) return;
  if constexpr (kOperand == Operand::Map) {
    store_3d(out_map, chunk, target.column, target.x, target.y);
  } else {
    store_2d(out_map, chunk, target.column, target.y);
  }
  commit_stores();
}

// Writes [64, 64] bf16 to a chunk. values[j] holds 16 columns as store_blocks takes them.
__device__ __forceinline__ void fill_bf16(std::uint32_t chunk,
                                          const std::uint32_t (&values)[4][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = static_cast<int>(threadIdx.x) % 128 / 32 * 16 + lane % 16;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int block = 2 * j + lane / 16;
    store_blocks(chunk + row * 128 + ((block ^ (row & 7)) * 16), values[j]);
  }
}

// Where row r of the tile lies in out, and whether it does.
template <Operand kOperand, int kRows>
__device__ __forceinline__ __nv_bfloat16* row_of(const Work& work, const Item& item, int r,
                                                 bool& inside) {
  if constexpr (kOperand == Operand::Map) {
    const int x = item.row_tile % work.tiles_across * kBoxWidth + r % kBoxWidth;
    const int y = item.row_tile / work.tiles_across * (kRows / kBoxWidth) + r / kBoxWidth;
    inside = x < work.width && y < work.height;
    return work.out + y * work.row_stride + static_cast<std::int64_t>(x) * work.pixel_stride;
  } else {
    const int row = item.row_tile * kRows + r;
    inside = row < work.rows;
    return work.out + row * work.row_stride;
  }
}

// Adds the bias, applies SiLU and adds what out holds: d covers 64 rows of the tile from first_row
// on and all its columns.
template <Operand kOperand, int kRows, int kColumns>
__device__ void finish_sums(float (&d)[kColumns / 2], const Work& work, const Item& item,
                            int first_row) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int first_column = item.column_tile * kColumns + thread % 4 * 2;
  constexpr int kBlocks = kColumns / 8;
  constexpr int kAtOnce = kBlocks < 8 ? kBlocks : 8;  // loads in flight
  if (work.bias != nullptr) {
#pragma unroll
    for (int first = 0; first < kBlocks; first += kAtOnce) {
      float bias[kAtOnce][2];
      // Columns beyond the last take its bias, so that no load waits for a branch; they are not
      // stored.
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        const int column = first_column + (first + j) * 8;
        bias[j][0] = __ldg(work.bias + min(column, work.columns - 1));
        bias[j][1] = __ldg(work.bias + min(column + 1, work.columns - 1));
      }
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
#pragma unroll
        for (int e = 0; e < 4; ++e) d[4 * (first + j) + e] += bias[j][e % 2];
      }
    }
  }
  if (work.silu) {
#pragma unroll
    for (int i = 0; i < kColumns / 2; ++i) d[i] = swish(d[i]);
  }
  if (!work.accumulate || work.direct) return;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    bool inside = false;
    const __nv_bfloat16* from = row_of<kOperand, kRows>(
        work, item, first_row + thread / 32 * 16 + thread % 32 / 4 + half * 8, inside);
#pragma unroll
    for (int first = 0; first < kColumns / 8; first += kAtOnce) {
      std::uint32_t before[kAtOnce];
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        const int column = first_column + (first + j) * 8;
        before[j] = inside && column < work.columns
                        ? *reinterpret_cast<const std::uint32_t*>(from + column)
                        : 0;
      }
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        d[4 * (first + j) + 2 * half] += __uint_as_float(before[j] << 16);
        d[4 * (first + j) + 2 * half + 1] += __uint_as_float(before[j] & 0xffff0000U);
      }
    }
  }
}

// Writes d out number by number, where rows are no multiples of 16 bytes.
template <Operand kOperand, int kRows, int kColumns>
__device__ void write_sums(const float (&d)[kColumns / 2], const Work& work, const Item& item,
                           int first_row) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    bool inside = false;
    __nv_bfloat16* to = row_of<kOperand, kRows>(
        work, item, first_row + thread / 32 * 16 + thread % 32 / 4 + half * 8, inside);
    if (!inside) continue;
#pragma unroll
    for (int i = 0; i < kColumns / 4; ++i) {
      const int column = item.column_tile * kColumns + thread % 4 * 2 + i / 2 * 8 + i % 2;
      if (column >= work.columns) continue;
      const float value = d[4 * (i / 2) + 2 * half + i % 2];
      to[column] =
          __float2bfloat16_rn(work.accumulate ? value + __bfloat162float(to[column]) : value);
    }
  }
}

// Sums of e4m3 products times the scales of their row and column.
template <int kRows, int kColumns>
__device__ void apply_scales(float (&d)[kColumns / 2], const Work& work, const Item& item,
                             int first_row) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int row = item.row_tile * kRows + first_row + thread / 32 * 16 + thread % 32 / 4;
  const int first_column = item.column_tile * kColumns + thread % 4 * 2;
  const float rows[2] = {row < work.rows ? work.x_scales[row] : 0.0F,
                         row + 8 < work.rows ? work.x_scales[row + 8] : 0.0F};
  constexpr int kAtOnce = 8;  // loads in flight
#pragma unroll
  for (int first = 0; first < kColumns / 8; first += kAtOnce) {
    float2 columns[kAtOnce];
    // Columns are even in number; those beyond the last take its scales and are not stored.
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const int column = min(first_column + (first + j) * 8, work.columns - 2);
      columns[j] = __ldg(reinterpret_cast<const float2*>(work.w_scales + column));
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      float* block = &d[4 * (first + j)];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        block[2 * half] *= rows[half] * columns[j].x;
        block[2 * half + 1] *= rows[half] * columns[j].y;
      }
    }
  }
}

// The reciprocal root of the mean square of one row's part of a head, of which four neighbours hold
// parts: d is the head's first sum.
__device__ __forceinline__ float inverse_length(const float* d, int r, float eps) {
  float squares = 0;
#pragma unroll
  for (int j = 0; j < kHeadDim / 8; ++j) {
#pragma unroll
    for (int e = 4 * j + 2 * r; e < 4 * j + 2 * r + 2; ++e) squares = fmaf(d[e], d[e], squares);
  }
  squares += __shfl_xor_sync(0xffffffffU, squares, 1);
  squares += __shfl_xor_sync(0xffffffffU, squares, 2);
  return rsqrtf(squares / kHeadDim + eps);
}

// qk_norm_rope() on the sums: a thread holds both numbers of a pair. An angle is loaded once for
// all heads of the tile, for a warp finds each row's in another line of the cache.
template <int kRows, int kColumns>
__device__ void turn_heads(float (&d)[kColumns / 2], const Work& work, const Item& item,
                           int first_row) {
  constexpr int kHeads = kColumns / kHeadDim;
  constexpr int kAtOnce = 8;  // angles in flight
  const RopeInputs& rope = work.rope;
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int first_column = thread % 4 * 2;
  const int first = item.row_tile * kRows + first_row + thread / 32 * 16 + thread % 32 / 4;
  const int first_head = item.column_tile * kHeads;
  if (first_head >= rope.heads + rope.kv_heads) return;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float inverse[kHeads];
#pragma unroll
    for (int h = 0; h < kHeads; ++h) inverse[h] = inverse_length(d + h * kHeadDim / 2, r, rope.eps);
    // Rows beyond the last turn as the last and are not stored.
    const float* angles = rope.cos_sin +
                          static_cast<std::int64_t>(min(first + 8 * r, work.rows - 1)) * kHeadDim +
                          first_column;
#pragma unroll
    for (int begin = 0; begin < kHeadDim / 8; begin += kAtOnce) {
      float2 turn[kAtOnce];
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j)
        turn[j] = __ldg(reinterpret_cast<const float2*>(angles + (begin + j) * 8));
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        if (first_head + h >= rope.heads + rope.kv_heads) continue;
        const float* weights =
            (first_head + h < rope.heads ? rope.q_norm : rope.k_norm) + first_column;
#pragma unroll
        for (int j = 0; j < kAtOnce; ++j) {
          const float2 weight = __ldg(reinterpret_cast<const float2*>(weights + (begin + j) * 8));
          float* pair = &d[h * kHeadDim / 2 + 4 * (begin + j) + 2 * r];
          const float x = pair[0] * inverse[h] * weight.x;
          const float y = pair[1] * inverse[h] * weight.y;
          pair[0] = x * turn[j].x - y * turn[j].y;
          pair[1] = x * turn[j].y + y * turn[j].x;
        }
      }
    }
  }
}

// Raises what is known of the greatest magnitude of v to that of these sums.
template <int kColumns>
__device__ void raise_greatest(const float (&d)[kColumns / 2], const Work& work, const Item& item) {
  constexpr int kHeads = kColumns / kHeadDim;
  float greatest = 0;
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (item.column_tile * kHeads + h < work.rope.heads + work.rope.kv_heads) continue;
#pragma unroll
    for (int i = 0; i < kHeadDim / 2; ++i)
      greatest = fmaxf(greatest, fabsf(d[h * kHeadDim / 2 + i]));
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    greatest = fmaxf(greatest, __shfl_xor_sync(0xffffffffU, greatest, step));
  // Bits of positive numbers are in the order of the numbers.
  if (threadIdx.x % 32 == 0 && greatest > 0)
    atomicMax(work.greatest_value, __float_as_uint(greatest));
}

__device__ __forceinline__ float swiglu_at(const float* d, int g, int pair) {
  return swish(d[8 * g + 2 * pair]) * d[8 * g + 2 * pair + 1];
}

// Writes silu(gate) * up of 64 rows to a chunk as e4m3. No gate and no up exceeds the product of
// the lengths that it is a product of, so the scale needs nothing but these.
template <int kRows, int kColumns>
__device__ __forceinline__ void fill_swiglu_fp8(std::uint32_t chunk, const float (&d)[kColumns / 2],
                                                const Work& work, const Item& item, int first_row) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const float longest = __uint_as_float(*work.w_longest) * kFp8Growth;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int within = thread / 32 * 16 + thread % 32 / 4 + 8 * r;
    const int row = item.row_tile * kRows + first_row + within;
    const float reach = row < work.rows ? work.x_lengths[row] * longest : 0.0F;
    const Fp8Scale scale(reach * reach);
    if (item.column_tile == 0 && thread % 4 == 0 && row < work.rows)
      work.out_scales[row] = scale.value;
#pragma unroll
    for (int g = 0; g < kColumns / 16; ++g) {
      const int byte = 8 * g + thread % 4 * 2;
      const std::uint16_t pair = pack_fp8(swiglu_at(d, g, r), swiglu_at(d, g, 2 + r), scale);
      store_shared(chunk + within * 128 + (((byte / 16) ^ (within & 7)) * 16) + byte % 16, pair);
    }
  }
}

template <Operand kOperand, Epilogue kEpilogue, int kRowBlocks, int kColumns>
__device__ void finish(float (&d)[kColumns / 2], const CUtensorMap& out_map, const Work& work,
                       const Item& item, int first_row, std::uint32_t chunks, int& turn,
                       int named) {
  using T = Tile<kRowBlocks, kColumns>;
  if constexpr (kOperand == Operand::Fp8)
    apply_scales<T::kRows, kColumns>(d, work, item, first_row);
  if constexpr (kEpilogue == Epilogue::Store) {
    finish_sums<kOperand, T::kRows, kColumns>(d, work, item, first_row);
    if (work.direct) {
      write_sums<kOperand, T::kRows, kColumns>(d, work, item, first_row);
      return;
    }
  }
  if constexpr (kEpilogue == Epilogue::Rope) {
    if constexpr (kOperand == Operand::Fp8) {
      if (work.greatest_value != nullptr) raise_greatest<kColumns>(d, work, item);
    }
    turn_heads<T::kRows, kColumns>(d, work, item, first_row);
  }
  if constexpr (kEpilogue == Epilogue::SwigluFp8) {
    static_assert(kColumns == 256, "a chunk holds 128 e4m3 results of a row");
    const std::uint32_t chunk = chunks + turn * kChunkBytes;
    send_chunk<kOperand>(
        out_map, chunk, named,
        {item.column_tile * (kColumns / 2), 0, item.row_tile * T::kRows + first_row},
        [&] { fill_swiglu_fp8<T::kRows, kColumns>(chunk, d, work, item, first_row); });
    turn ^= 1;
    return;
  }
  constexpr int kOutColumns = kEpilogue == Epilogue::Swiglu ? kColumns / 2 : kColumns;
#pragma unroll
  for (int chunk = 0; chunk < (kOutColumns + 63) / 64; ++chunk) {
    std::uint32_t values[4][4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if constexpr (kEpilogue == Epilogue::Swiglu) {
        // Columns 16 g .. + 15 of the product are 8 outputs; see gate_up_column().
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int g = (chunk * 4 + j) * 2 + half;
#pragma unroll
          for (int r = 0; r < 2; ++r) {
            values[j][2 * half + r] = pack_bf16(swiglu_at(d, g, r), swiglu_at(d, g, 2 + r));
          }
        }
      } else if constexpr (kColumns >= 64) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int at = (chunk * 8 + 2 * j) * 4 + 2 * i;
          values[j][i] = pack_bf16(d[at], d[at + 1]);
        }
      }
    }
    Target target{item.column_tile * kOutColumns + chunk * 64, 0,
                  item.row_tile * T::kRows + first_row};
    if constexpr (kOperand == Operand::Map) {
      target.x = item.row_tile % work.tiles_across * kBoxWidth;
      target.y = (item.row_tile / work.tiles_across * T::kRows + first_row) / kBoxWidth;
    }
    const std::uint32_t memory = chunks + turn * kChunkBytes;
    send_chunk<kOperand>(out_map, memory, named, target, [&] { fill_bf16(memory, values); });
    turn ^= 1;
  }
}

// Keeps this part's sums; in the warpgroup that finds all others kept, d becomes the whole, added
// in the order of the parts whoever comes last.
template <int kColumns>
__device__ bool add_parts(float (&d)[kColumns / 2], const Work& work, const Item& item, int rank,
                          int group) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int tile = (item.cut * 2 + rank) * 2 + group;
  const auto numbers = [&](int part) {
    return work.memory.partial +
           (static_cast<std::int64_t>(tile) * work.parts + part) * (kColumns / 2) * 128 + thread;
  };
  float* own = numbers(item.part);
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) own[i * 128] = d[i];
  __shared__ bool is_last[kConsumers];
  __threadfence();
  named_sync(1 + group, 128);
  if (thread == 0) {
    unsigned* counter = work.memory.counters + tile;
    is_last[group] = atomicAdd(counter, 1U) == static_cast<unsigned>(work.parts - 1);
    if (is_last[group]) *counter = 0;
  }
  named_sync(1 + group, 128);
  if (!is_last[group]) return false;
  __threadfence();
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) d[i] = 0;
  for (int part = 0; part < work.parts; ++part) {
    const float* from = numbers(part);
#pragma unroll
    for (int i = 0; i < kColumns / 2; ++i) d[i] += __ldcg(from + i * 128);
  }
  return true;
}

template <Operand kOperand, Epilogue kEpilogue, int kRowBlocks, int kColumns>
__device__ void consume(const CUtensorMap& out_map, const Work& work, std::uint32_t tiles,
                        std::uint32_t chunks, std::uint32_t full, std::uint32_t empty) {
  using T = Tile<kRowBlocks, kColumns>;
  const int group = static_cast<int>(threadIdx.x) / 128 - 1;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int rank = static_cast<int>(cluster_rank());
  chunks += group * 2 * kChunkBytes;
  int turn = 0;
  int stage = 0;
  std::uint32_t phase = 0;
  const auto release = [&](int which) {
    if (lane == 0) arrive(empty + 8 * which);
    if (lane == 1) arrive_remote(empty + 8 * which, static_cast<std::uint32_t>(rank ^ 1));
  };
  for (int index = static_cast<int>(blockIdx.x) / 2; index < pieces_of(work);
       index += static_cast<int>(gridDim.x) / 2) {
    const Item item = item_at(work, index, rank);
    float d[kRowBlocks][kColumns / 2];
    int previous = -1;
    for (int step = item.begin; step < item.end; ++step) {
      wait(full + 8 * stage, phase);
      const std::uint64_t x_tile =
          describe(tiles + stage * T::kBytes + group * kRowBlocks * 64 * 128, 1024, 16);
      const std::uint64_t w_tile = describe(tiles + stage * T::kBytes + T::kBytesX, 1024, 16);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < kRowBytes / 32; ++k) {
#pragma unroll
        for (int m = 0; m < kRowBlocks; ++m) {
          const std::uint64_t x_part = x_tile + described(m * 64 * kRowBytes + k * 32);
          const std::uint64_t w_part = w_tile + described(k * 32);
          if constexpr (kOperand == Operand::Fp8) {
            wgmma_fp8<kColumns>(d[m], x_part, w_part, step > item.begin || k > 0);
          } else {
            wgmma<kColumns>(d[m], x_part, w_part, step > item.begin || k > 0);
          }
        }
      }
      wgmma_commit();
      if (previous >= 0) {
        wgmma_wait<1>();
        release(previous);
      }
      previous = stage;
      if (++stage == T::kStages) {
        stage = 0;
        phase ^= 1;
      }
    }
    wgmma_wait<0>();
    release(previous);
    if constexpr (kRowBlocks == 1 && kOperand != Operand::Map) {
      if (item.part >= 0 && !add_parts<kColumns>(d[0], work, item, rank, group)) continue;
    }
#pragma unroll
    for (int m = 0; m < kRowBlocks; ++m) {
      finish<kOperand, kEpilogue, kRowBlocks, kColumns>(
          d[m], out_map, work, item, (group * kRowBlocks + m) * 64, chunks, turn, 1 + group);
    }
  }
  if (threadIdx.x % 128 == 0) wait_stores<0>();
}

template <Operand kOperand, Epilogue kEpilogue, int kRowBlocks, int kColumns>
__global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(kThreads, 1)
    gemm_kernel(const __grid_constant__ CUtensorMap x_map,
                const __grid_constant__ CUtensorMap w_map,
                const __grid_constant__ CUtensorMap out_map, const __grid_constant__ Work work) {
  using T = Tile<kRowBlocks, kColumns>;
  extern __shared__ unsigned char shared[];
  const std::uint32_t tiles = (shared_address(shared) + 1023) / 1024 * 1024;
  const std::uint32_t chunks = tiles + T::kStages * T::kBytes;
  const std::uint32_t full = chunks + T::kOutBytes;
  const std::uint32_t empty = full + 8 * T::kStages;
  if (threadIdx.x == 0) {
    prefetch_map(x_map);
    prefetch_map(w_map);
    for (int s = 0; s < T::kStages; ++s) {
      init_barrier(full + 8 * s, 1);
      init_barrier(empty + 8 * s, 2 * kConsumers * 4);  // each warp of both blocks
    }
    fence_barrier_init();
  }
  cluster_sync();
  if (threadIdx.x < 128) {
    give_registers<40>();
    if (threadIdx.x == 0)
      produce<kOperand, kRowBlocks, kColumns>(x_map, w_map, work, tiles, full, empty);
  } else {
    take_registers<232>();
    consume<kOperand, kEpilogue, kRowBlocks, kColumns>(out_map, work, tiles, chunks, full, empty);
  }
  // Neither block may leave while the other still writes to its shared memory.
  __syncwarp();
  cluster_sync();
}

int processors() {
  int device = 0;
  int count = 0;
  check_cuda(cudaGetDevice(&device));
  check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

template <Operand kOperand, Epilogue kEpilogue, int kRowBlocks, int kColumns>
void launch(const CUtensorMap& x_map, const CUtensorMap& w_map, const CUtensorMap& out_map,
            Work work, cudaStream_t stream) {
  using T = Tile<kRowBlocks, kColumns>;
  auto* kernel = &gemm_kernel<kOperand, kEpilogue, kRowBlocks, kColumns>;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, T::kShared));
  constexpr int kLeastSteps = 4;  // of a part
  const int clusters = processors() / 2;
  const int items = items_of(work);
  work.whole_items = items / clusters * clusters;
  const int rest = items - work.whole_items;
  work.parts = rest == 0 || work.memory.partial == nullptr
                   ? 1
                   : std::max(1, std::min(clusters / rest, work.steps / kLeastSteps));
  const auto blocks = static_cast<unsigned>(2 * std::min(pieces_of(work), clusters));
  kernel<<<blocks, kThreads, T::kShared, stream>>>(x_map, w_map, out_map, work);
  check_launch();
}

int tiles_of(std::int64_t n, int size) {
  return static_cast<int>((n + size - 1) / size);
}

}  // namespace

namespace {

// The width of tiles that leaves the fewest idle at the end: 192 or 256 columns.
int tile_columns(int row_tiles, std::int64_t columns) {
  const auto cost = [&](int width) {
    const int tiles = tiles_of(columns, width);
    const int items = row_tiles / 2 * tiles + row_tiles % 2 * ((tiles + 1) / 2);
    const int clusters = processors() / 2;
    return (items + clusters - 1) / clusters * width;
  };
  return cost(192) < cost(256) ? 192 : 256;
}

template <Operand kOperand, Epilogue kEpilogue, int kColumns>
void matrix_launch(Work work, const void* x, const void* w, const Tensor& out, std::int64_t in,
                   cudaStream_t stream) {
  using T = Tile<1, kColumns>;
  constexpr auto kType = kOperand == Operand::Fp8 ? MapType::Fp8 : MapType::Bf16;
  work.column_tiles = tiles_of(work.columns, kColumns);
  work.steps = tiles_of(in, kDepth<kOperand>);
  launch<kOperand, kEpilogue, 1, kColumns>(
      map_matrix(x, work.rows, in, in, T::kRows / 2, kType),
      map_matrix(w, work.columns, in, in, kColumns / 2, kType),
      map_matrix(out.data, work.rows, out.dim(1), out.dim(1), 64,
                 kEpilogue == Epilogue::SwigluFp8 ? MapType::Fp8 : MapType::Bf16),
      work, stream);
}

void set_sizes(Work& work, const Tensor& out, const GemmArgs& args) {
  work.rows = static_cast<int>(out.dim(0));
  const bool swiglu = args.epilogue == Epilogue::Swiglu || args.epilogue == Epilogue::SwigluFp8;
  work.columns = static_cast<int>(swiglu ? 2 * out.dim(1) : out.dim(1));
  work.row_tiles = tiles_of(work.rows, 128);
  work.row_stride = out.dim(1);
}

template <Operand kOperand>
void matrix_product(const Tensor& out, const void* x, const void* w, std::int64_t in, Work work,
                    const GemmArgs& args, cudaStream_t stream) {
  if (out.dim(0) == 0) return;
  set_sizes(work, out, args);
  work.bias = args.bias;
  work.silu = args.silu;
  work.accumulate = args.accumulate;
  work.out = static_cast<__nv_bfloat16*>(out.data);
  work.memory = args.memory;
  work.rope = args.rope;
  work.greatest_value = args.greatest_value;
  if (args.epilogue == Epilogue::Swiglu) {
    matrix_launch<kOperand, Epilogue::Swiglu, 256>(work, x, w, out, in, stream);
  } else if (args.epilogue == Epilogue::Rope) {
    matrix_launch<kOperand, Epilogue::Rope, 256>(work, x, w, out, in, stream);
  } else if (tile_columns(work.row_tiles, work.columns) == 192) {
    matrix_launch<kOperand, Epilogue::Store, 192>(work, x, w, out, in, stream);
  } else {
    matrix_launch<kOperand, Epilogue::Store, 256>(work, x, w, out, in, stream);
  }
}

}  // namespace

std::size_t gemm_partial_bytes() {
  return static_cast<std::size_t>(processors()) * 128 * 256 * sizeof(float);
}

void gemm_sm90(const Tensor& out, const Tensor& x, const Tensor& weight, const GemmArgs& args,
               cudaStream_t stream) {
  matrix_product<Operand::Matrix>(out, x.data, weight.data, x.dim(1), Work{}, args, stream);
}

void gemm_fp8_sm90(const Tensor& out, const Fp8Matrix& x, const Fp8Matrix& weight,
                   const GemmArgs& args, cudaStream_t stream) {
  Work work{};
  work.x_scales = x.scales;
  work.w_scales = weight.scales;
  work.x_lengths = x.lengths;
  work.w_longest = weight.longest;
  work.out_scales = args.quantized.scales;
  if (args.epilogue != Epilogue::SwigluFp8) {
    matrix_product<Operand::Fp8>(out, x.data, weight.data, x.columns, work, args, stream);
    return;
  }
  const Tensor numbers{args.quantized.data, DType::U8, out.shape};
  set_sizes(work, numbers, args);
  work.memory = args.memory;
  if (work.rows > 0) {
    matrix_launch<Operand::Fp8, Epilogue::SwigluFp8, 256>(work, x.data, weight.data, numbers,
                                                          x.columns, stream);
  }
}

namespace {

template <int kRowBlocks, int kColumns>
void conv_launch(const Tensor& out, const Tensor& x, const Tensor& weight, const ConvShape& shape,
                 cudaStream_t stream) {
  using T = Tile<kRowBlocks, kColumns>;
  constexpr int kBoxHeight = T::kRows / kBoxWidth;
  const std::int64_t channels = out.dim(2);
  const std::int64_t in = x.dim(2);
  const int step = shape.upsampling_phase ? 2 : 1;
  Work work{};
  work.width = static_cast<int>(x.dim(1));
  work.height = static_cast<int>(x.dim(0));
  work.tiles_across = tiles_of(work.width, kBoxWidth);
  work.row_tiles = work.tiles_across * tiles_of(work.height, kBoxHeight);
  work.column_tiles = tiles_of(channels, kColumns);
  work.steps_per_tap = static_cast<int>(in / kDepth<Operand::Map>);
  work.taps_across = static_cast<int>(shape.kernel);
  work.steps = work.steps_per_tap * work.taps_across * work.taps_across;
  work.tap_offset_y =
      shape.upsampling_phase ? shape.phase_y - 1 : -static_cast<int>(shape.kernel / 2);
  work.tap_offset_x =
      shape.upsampling_phase ? shape.phase_x - 1 : -static_cast<int>(shape.kernel / 2);
  work.columns = static_cast<int>(channels);
  work.pixel_stride = static_cast<int>(channels) * step;
  work.row_stride = out.dim(1) * channels * step;
  work.bias = shape.bias;
  work.accumulate = shape.accumulate;
  work.direct = channels % 8 != 0 || kColumns < 64;
  work.out = static_cast<__nv_bfloat16*>(out.data) +
             (shape.phase_y * out.dim(1) + shape.phase_x) * channels;
  const CUtensorMap x_map =
      map_pixels(x.data, {x.dim(0), x.dim(1), in, in, x.dim(1) * in}, kBoxHeight, kBoxWidth);
  const CUtensorMap w_map = map_matrix(weight.data, channels, weight.elements() / channels,
                                       weight.elements() / channels, kColumns / 2);
  // Each warpgroup stores 64 rows of its tile at a time: kBoxWidth by 4 pixels.
  const CUtensorMap out_map =
      work.direct
          ? CUtensorMap{}
          : map_pixels(work.out, {x.dim(0), x.dim(1), channels, work.pixel_stride, work.row_stride},
                       4, kBoxWidth);
  launch<Operand::Map, Epilogue::Store, kRowBlocks, kColumns>(x_map, w_map, out_map, work, stream);
}

}  // namespace

void conv_sm90(const Tensor& out, const Tensor& x, const Tensor& weight, const ConvShape& shape,
               cudaStream_t stream) {
  if (out.elements() == 0) return;
  if (out.dim(2) <= 16) {
    conv_launch<2, 16>(out, x, weight, shape, stream);
  } else if (out.dim(2) <= 128) {
    conv_launch<2, 128>(out, x, weight, shape, stream);
  } else {
    conv_launch<1, 256>(out, x, weight, shape, stream);
  }
}

}  // namespace zimage::cuda::kernels
