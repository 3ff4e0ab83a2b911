// Attention of bf16 heads of 128 on Hopper, every row seeing all keys of its segment. A block takes
// 128 queries of a head at a time: one warp feeds shared memory through the copy engine, two
// warpgroups hold 64 queries each and take turns, so that the softmax of one runs beside the
// products of the other. Within a warpgroup the scores of the next keys are multiplied while the
// softmax of the last is computed.
#include <algorithm>
#include <cmath>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/fp8.cuh"
#include "backend/cuda/kernels/hopper.cuh"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"
#include "backend/cuda/kernels/wgmma.cuh"
#include "backend/cuda/tensor_map.h"

namespace zimage::cuda::kernels {
namespace {

using namespace hopper;  // NOLINT(google-build-using-namespace): the kernel is written in these
                         // words

constexpr int kHeadDim = 128;
constexpr int kQueries = 128;  // of a block
constexpr int kKeys = 176;     // of a step: what registers and shared memory allow
constexpr int kStages = 2;
constexpr int kThreads = 384;
constexpr int kQueryBytes = kQueries * kHeadDim * 2;
constexpr int kKeyBytes = kKeys * kHeadDim * 2;
constexpr int kShared = 1024 + kQueryBytes + 2 * kStages * kKeyBytes + 256;
constexpr float kLog2E = 1.4426950408889634F;

// Items are tiles of queries, head by head, segment by segment. Each block takes an item at a time;
// those that would leave most blocks idle at the end are cut into parts by keys, and the last block
// to finish a part adds them up.
struct Arguments {
  __nv_bfloat16* out;
  AttentionFp8 fp8;    // takes the place of out unless empty
  float* partial;      // [parts of items, warpgroup, kPartial, 128]
  unsigned* counters;  // [cut items, warpgroup], zero before and after
  int whole_items;
  int parts;  // of each further item
  int items;
  int rows;  // of a segment
  int heads;
  int kv_heads;
  int tiles;    // of queries, for one head of a segment
  int steps;    // of keys
  float scale;  // of the scores, times log2 e
};

// Addresses in shared memory. Tiles are two blocks of 64 columns; barriers are arrays over stages.
struct Layout {
  std::uint32_t q;
  std::uint32_t k;
  std::uint32_t v;
  std::uint32_t q_full;
  std::uint32_t q_empty;
  std::uint32_t k_full;
  std::uint32_t k_empty;
  std::uint32_t v_full;
  std::uint32_t v_empty;
};

__device__ Layout layout_of(const void* shared) {
  Layout at{};
  at.q = (shared_address(shared) + 1023) / 1024 * 1024;
  at.k = at.q + kQueryBytes;
  at.v = at.k + kStages * kKeyBytes;
  at.q_full = at.v + kStages * kKeyBytes;
  at.q_empty = at.q_full + 8;
  at.k_full = at.q_empty + 8;
  at.k_empty = at.k_full + 8 * kStages;
  at.v_full = at.k_empty + 8 * kStages;
  at.v_empty = at.v_full + 8 * kStages;
  return at;
}

// A position in a ring of stages and how often it went round.
struct Cursor {
  int stage = 0;
  std::uint32_t phase = 0;
  __device__ void advance() {
    if (++stage == kStages) {
      stage = 0;
      phase ^= 1;
    }
  }
};

// What a block does next: steps [begin, end) of an item. part < 0 is a whole item.
struct Piece {
  int item;
  int part;
  int begin;
  int end;
};

// The block's piece number `index`; false after the last.
__device__ __forceinline__ bool piece_at(const Arguments& args, int index, Piece& piece) {
  const int at = static_cast<int>(blockIdx.x) + index * static_cast<int>(gridDim.x);
  piece = {at, -1, 0, args.steps};
  if (at < args.whole_items) return true;
  const int cut = at - args.whole_items;
  piece.item = args.whole_items + cut / args.parts;
  if (piece.item >= args.items) return false;
  if (args.parts == 1) return true;
  piece.part = cut % args.parts;
  piece.begin = args.steps * piece.part / args.parts;
  piece.end = args.steps * (piece.part + 1) / args.parts;
  return true;
}

// Where an item's queries are: rows of its segment from `row` on.
struct Place {
  int segment;  // its first row
  int head;
  int row;
};

__device__ __forceinline__ Place place_of(const Arguments& args, int item) {
  const int head = item / args.tiles;  // of all segments
  return {head / args.heads * args.rows, head % args.heads, item % args.tiles * kQueries};
}

// Keys are taken from the last step to the first, so that the partial step comes first. What a step
// fetches beyond its segment is hidden by hide_missing_keys().
__device__ void produce(const CUtensorMap& q_map, const CUtensorMap& kv_map, const Arguments& args,
                        const Layout& at) {
  Cursor cursor;
  std::uint32_t q_phase = 0;
  Piece piece{};
  const auto fetch = [&](std::uint32_t tile, std::uint32_t full, std::uint32_t empty, int column,
                         int row) {
    wait(empty + 8 * cursor.stage, cursor.phase ^ 1);
    const std::uint32_t barrier = full + 8 * cursor.stage;
    arrive_expecting(barrier, kKeyBytes);
    tile += cursor.stage * kKeyBytes;
    load_2d(tile, kv_map, column, row, barrier);
    load_2d(tile + kKeyBytes / 2, kv_map, column + 64, row, barrier);
  };
  for (int index = 0; piece_at(args, index, piece); ++index) {
    const Place place = place_of(args, piece.item);
    const int q_column = place.head * kHeadDim;
    const int k_column = (args.heads + place.head / (args.heads / args.kv_heads)) * kHeadDim;
    const int v_column = k_column + args.kv_heads * kHeadDim;
    wait(at.q_empty, q_phase ^ 1);
    q_phase ^= 1;
    arrive_expecting(at.q_full, kQueryBytes);
    load_2d(at.q, q_map, q_column, place.segment + place.row, at.q_full);
    load_2d(at.q + kQueryBytes / 2, q_map, q_column + 64, place.segment + place.row, at.q_full);
    const int first = place.segment + piece.begin * kKeys;
    for (int row = place.segment + (piece.end - 1) * kKeys; row >= first; row -= kKeys) {
      fetch(at.k, at.k_full, at.k_empty, k_column, row);
      fetch(at.v, at.v_full, at.v_empty, v_column, row);
      cursor.advance();
    }
  }
}

using Scores = float[kKeys / 2];
using Sums = float[kHeadDim / 2];
using Probabilities = std::uint32_t[kKeys / 16][4];

// Scores of this warpgroup's 64 queries and one step's keys.
__device__ __forceinline__ void multiply_keys(Scores& scores, std::uint32_t q, std::uint32_t k) {
  wgmma_fence();
  const std::uint64_t q_tile = describe(q, 1024, 16);
  const std::uint64_t k_tile = describe(k, 1024, 16);
#pragma unroll
  for (int i = 0; i < kHeadDim / 16; ++i) {
    wgmma<kKeys>(scores, q_tile + described(i / 4 * (kQueryBytes / 2) + i % 4 * 32),
                 k_tile + described(i / 4 * (kKeyBytes / 2) + i % 4 * 32), i > 0);
  }
  wgmma_commit();
}

__device__ __forceinline__ void multiply_values(Sums& sums, const Probabilities& p, std::uint32_t v,
                                                int accumulate) {
  wgmma_fence();
  const std::uint64_t v_tile = describe(v, 1024, kKeyBytes / 2);
#pragma unroll
  for (int i = 0; i < kKeys / 16; ++i) {
    wgmma_registers<kHeadDim>(sums, p[i], v_tile + described(i * 16 * 128), accumulate | (i > 0));
  }
  wgmma_commit();
}

// Of the two rows a thread holds parts of: the greatest score, and this thread's part of the sum.
struct Softmax {
  float highest[2] = {-INFINITY, -INFINITY};
  float total[2] = {0, 0};

  // Turns scores to probabilities (not yet divided by the sum); shrink is what earlier sums are to
  // be multiplied by.
  __device__ __forceinline__ void step(Scores& scores, float (&shrink)[2], float scale) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float most = highest[r];
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j)
        most = fmaxf(most, fmaxf(scores[4 * j + 2 * r], scores[4 * j + 2 * r + 1]));
      most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 1));
      most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 2));
      shrink[r] = fast_exp2((highest[r] - most) * scale);
      highest[r] = most;
      const float offset = most * scale;
      float sum = 0;
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
        for (int e = 4 * j + 2 * r; e < 4 * j + 2 * r + 2; ++e) {
          scores[e] = fast_exp2(fmaf(scores[e], scale, -offset));
          sum += scores[e];
        }
      }
      total[r] = fmaf(total[r], shrink[r], sum);
    }
  }

  // Each thread's part of the sum becomes the whole.
  __device__ __forceinline__ void add_up() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      total[r] += __shfl_xor_sync(0xffffffffU, total[r], 1);
      total[r] += __shfl_xor_sync(0xffffffffU, total[r], 2);
    }
  }
};

// The layout of sums is that of a left operand: no data moves between threads.
__device__ __forceinline__ void pack(Probabilities& p, const Scores& scores) {
#pragma unroll
  for (int i = 0; i < kKeys / 16; ++i) {
#pragma unroll
    for (int e = 0; e < 4; ++e)
      p[i][e] = pack_bf16(scores[8 * i + 2 * e], scores[8 * i + 2 * e + 1]);
  }
}

__device__ __forceinline__ void rescale(Sums& sums, const float (&shrink)[2]) {
#pragma unroll
  for (int j = 0; j < kHeadDim / 8; ++j) {
#pragma unroll
    for (int e = 0; e < 4; ++e) sums[4 * j + e] *= shrink[e / 2];
  }
}

__device__ __forceinline__ void hide_missing_keys(Scores& scores, int first, int rows) {
  const int key = first + static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (key + 8 * j + e % 2 >= rows) scores[4 * j + e] = -INFINITY;
    }
  }
}

// Of this warpgroup's 64 of the queries at `place`.
__device__ void write_sums(const Sums& sums, const Softmax& softmax, const Arguments& args,
                           const Place& place, int group) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int first = place.row + group * 64;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float inverse = 1.0F / softmax.total[r];
    const int row = first + thread / 32 * 16 + thread % 32 / 4 + 8 * r;
    if (row >= args.rows) continue;
    const auto out_row = static_cast<std::int64_t>(place.segment + row);
    __nv_bfloat16* target =
        args.out + (out_row * args.heads + place.head) * kHeadDim + thread % 4 * 2;
#pragma unroll
    for (int j = 0; j < kHeadDim / 8; ++j) {
      *reinterpret_cast<std::uint32_t*>(target + 8 * j) =
          pack_bf16(sums[4 * j + 2 * r] * inverse, sums[4 * j + 2 * r + 1] * inverse);
    }
  }
}

// The same as e4m3, all rows with the one scale that no value exceeds.
__device__ void write_fp8(const Sums& sums, const Softmax& softmax, const Arguments& args,
                          const Place& place, int group) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const Fp8Scale scale(__uint_as_float(*args.fp8.greatest_value));
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float inverse = 1.0F / softmax.total[r];
    const int row = place.row + group * 64 + thread / 32 * 16 + thread % 32 / 4 + 8 * r;
    if (row >= args.rows) continue;
    const auto out_row = static_cast<std::int64_t>(place.segment + row);
    auto* target = static_cast<std::uint8_t*>(args.fp8.out.data) +
                   (out_row * args.heads + place.head) * kHeadDim + thread % 4 * 2;
    if (place.head == 0 && thread % 4 == 0) args.fp8.out.scales[out_row] = scale.value;
#pragma unroll
    for (int j = 0; j < kHeadDim / 8; ++j) {
      *reinterpret_cast<std::uint16_t*>(target + 8 * j) =
          pack_fp8(sums[4 * j + 2 * r] * inverse, sums[4 * j + 2 * r + 1] * inverse, scale);
    }
  }
}

constexpr int kPartial =
    kHeadDim / 2 + 4;  // numbers a thread keeps of a part: sums, maxima, totals

// Keeps this part; in the warpgroup that finds all others kept, sums and softmax become those of
// the whole item, added in the order of the parts whoever comes last.
__device__ bool add_parts(Sums& sums, Softmax& softmax, const Arguments& args, const Piece& piece,
                          int group) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int cut = piece.item - args.whole_items;
  const auto numbers = [&](int part) {
    return args.partial +
           (static_cast<std::int64_t>(cut * args.parts + part) * 2 + group) * kPartial * 128 +
           thread;
  };
  float* own = numbers(piece.part);
#pragma unroll
  for (int i = 0; i < kHeadDim / 2; ++i) own[i * 128] = sums[i];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    own[(kHeadDim / 2 + r) * 128] = softmax.highest[r];
    own[(kHeadDim / 2 + 2 + r) * 128] = softmax.total[r];
  }
  __shared__ bool is_last[2];
  __threadfence();
  named_sync(3 + group, 128);
  if (thread == 0) {
    unsigned* counter = args.counters + 2 * cut + group;
    is_last[group] = atomicAdd(counter, 1U) == static_cast<unsigned>(args.parts - 1);
    if (is_last[group]) *counter = 0;
  }
  named_sync(3 + group, 128);
  if (!is_last[group]) return false;
  __threadfence();
  float highest[2] = {-INFINITY, -INFINITY};
  for (int part = 0; part < args.parts; ++part) {
#pragma unroll
    for (int r = 0; r < 2; ++r)
      highest[r] = fmaxf(highest[r], __ldcg(numbers(part) + (kHeadDim / 2 + r) * 128));
  }
  softmax.total[0] = softmax.total[1] = 0;
#pragma unroll
  for (int i = 0; i < kHeadDim / 2; ++i) sums[i] = 0;
  for (int part = 0; part < args.parts; ++part) {
    const float* from = numbers(part);
    float shrink[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      shrink[r] = fast_exp2((__ldcg(from + (kHeadDim / 2 + r) * 128) - highest[r]) * args.scale);
      softmax.total[r] =
          fmaf(__ldcg(from + (kHeadDim / 2 + 2 + r) * 128), shrink[r], softmax.total[r]);
    }
#pragma unroll
    for (int i = 0; i < kHeadDim / 2; ++i)
      sums[i] = fmaf(__ldcg(from + i * 128), shrink[i % 4 / 2], sums[i]);
  }
  return true;
}

__device__ void consume(const Arguments& args, const Layout& at) {
  const int group = static_cast<int>(threadIdx.x) / 128 - 1;
  const bool speaks = threadIdx.x % 32 == 0;
  const std::uint32_t q = at.q + group * 64 * 128;
  const int own_turn = 1 + group;
  const int other_turn = 2 - group;
  if (group == 1) named_arrive(other_turn, 256);  // the first turn is the first warpgroup's
  Cursor keys;
  Cursor values;
  std::uint32_t q_phase = 0;
  Piece piece{};
  for (int index = 0; piece_at(args, index, piece); ++index) {
    Softmax softmax;
    Sums sums;
    Probabilities p;
    float shrink[2];
    wait(at.q_full, q_phase);
    q_phase ^= 1;
    {
      Scores scores;
      wait(at.k_full + 8 * keys.stage, keys.phase);
      multiply_keys(scores, q, at.k + keys.stage * kKeyBytes);
      wgmma_wait<0>();
      if (speaks) arrive(at.k_empty + 8 * keys.stage);
      keys.advance();
      if (piece.end * kKeys > args.rows)
        hide_missing_keys(scores, (piece.end - 1) * kKeys, args.rows);
      softmax.step(scores, shrink, args.scale);
      pack(p, scores);
    }
    const int steps = piece.end - piece.begin;
    for (int step = 1; step < steps; ++step) {
      Scores scores;
      wait(at.k_full + 8 * keys.stage, keys.phase);
      named_sync(own_turn, 256);
      multiply_keys(scores, q, at.k + keys.stage * kKeyBytes);
      wait(at.v_full + 8 * values.stage, values.phase);
      multiply_values(sums, p, at.v + values.stage * kKeyBytes, step > 1);
      named_arrive(other_turn, 256);
      wgmma_wait<1>();
      if (speaks) arrive(at.k_empty + 8 * keys.stage);
      keys.advance();
      softmax.step(scores, shrink, args.scale);
      // The softmax is to run beside the product with the values.
      compute_before(softmax.total[0]);
      compute_before(softmax.total[1]);
      wgmma_wait<0>();
      if (speaks) arrive(at.v_empty + 8 * values.stage);
      values.advance();
      rescale(sums, shrink);
      pack(p, scores);
    }
    if (speaks) arrive(at.q_empty);
    wait(at.v_full + 8 * values.stage, values.phase);
    multiply_values(sums, p, at.v + values.stage * kKeyBytes, steps > 1);
    wgmma_wait<0>();
    if (speaks) arrive(at.v_empty + 8 * values.stage);
    values.advance();
    softmax.add_up();
    if (piece.part < 0 || add_parts(sums, softmax, args, piece, group)) {
      const Place place = place_of(args, piece.item);
      if (args.fp8.out.data != nullptr) {
        write_fp8(sums, softmax, args, place, group);
      } else {
        write_sums(sums, softmax, args, place, group);
      }
    }
  }
  if (group == 0) named_sync(own_turn, 256);  // takes the turn left over, so that the count is even
}

__global__ void __launch_bounds__(kThreads, 1)
    attention_kernel(const __grid_constant__ CUtensorMap q_map,
                     const __grid_constant__ CUtensorMap kv_map,
                     const __grid_constant__ Arguments args) {
  extern __shared__ unsigned char shared[];
  const Layout at = layout_of(shared);
  if (threadIdx.x == 0) {
    prefetch_map(q_map);
    prefetch_map(kv_map);
    constexpr int kWarps = 8;  // that multiply
    init_barrier(at.q_full, 1);
    init_barrier(at.q_empty, kWarps);
    for (int s = 0; s < kStages; ++s) {
      init_barrier(at.k_full + 8 * s, 1);
      init_barrier(at.k_empty + 8 * s, kWarps);
      init_barrier(at.v_full + 8 * s, 1);
      init_barrier(at.v_empty + 8 * s, kWarps);
    }
    fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    give_registers<24>();
    if (threadIdx.x == 0) produce(q_map, kv_map, args, at);
  } else {
    take_registers<240>();
    consume(args, at);
  }
}

}  // namespace

namespace {

int processors() {
  int device = 0;
  int count = 0;
  check_cuda(cudaGetDevice(&device));
  check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

}  // namespace

std::size_t attention_partial_bytes() {
  return static_cast<std::size_t>(processors()) * 2 * kPartial * 128 * sizeof(float);
}

void attention_128_sm90(const Tensor& out, const AttentionFp8& fp8, const Tensor& qkv,
                        const AttentionShape& shape, const AttentionMemory& memory,
                        cudaStream_t stream) {
  if (qkv.dim(0) == 0) return;
  Arguments args{};
  args.out = static_cast<__nv_bfloat16*>(out.data);
  args.fp8 = fp8;
  args.partial = static_cast<float*>(memory.partial);
  args.counters = memory.counters;
  args.rows = static_cast<int>(qkv.dim(0) / shape.segments);
  args.heads = static_cast<int>(shape.heads);
  args.kv_heads = static_cast<int>(shape.kv_heads);
  args.tiles = (args.rows + kQueries - 1) / kQueries;
  args.steps = (args.rows + kKeys - 1) / kKeys;
  args.scale = shape.scale * kLog2E;
  args.items = static_cast<int>(shape.segments) * args.heads * args.tiles;
  const int blocks = processors();
  args.whole_items = args.items / blocks * blocks;
  const int rest = args.items - args.whole_items;
  args.parts = rest == 0 ? 1 : std::clamp(blocks / rest, 1, args.steps);
  if (static_cast<std::size_t>(rest) * 2 > kAttentionCounters) args.parts = 1;
  const CUtensorMap q_map = map_matrix(qkv.data, qkv.dim(0), qkv.dim(1), qkv.dim(1), kQueries);
  const CUtensorMap kv_map = map_matrix(qkv.data, qkv.dim(0), qkv.dim(1), qkv.dim(1), kKeys);
  check_cuda(
      cudaFuncSetAttribute(attention_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  attention_kernel<<<static_cast<unsigned>(std::min(blocks, args.whole_items + rest * args.parts)),
                     kThreads, kShared, stream>>>(q_map, kv_map, args);
  check_launch();
}

}  // namespace zimage::cuda::kernels
