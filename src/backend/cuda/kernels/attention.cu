// Attention of bf16 heads of 128 with mma.sync, for causal masks and for devices without wgmma: a
// block takes 64 queries of one head of one segment, four warps of 16, and walks over keys 64 at a
// time.
#include <cuda_bf16.h>

#include <cmath>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kHeadDim = 128;
constexpr int kQueries = 64;
constexpr int kKeys = 64;
constexpr int kThreads = 128;
constexpr int kTileBytes = kKeys * kHeadDim * 2;
constexpr float kLog2E = 1.4426950408889634F;

struct Arguments {
  __nv_bfloat16* out;
  const __nv_bfloat16* qkv;
  std::int64_t rows;    // of a segment
  std::int64_t stride;  // of qkv
  int heads;
  int kv_heads;
  float scale;  // of the scores, times log2 e
};

__device__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// Byte offset of 16-byte chunk `chunk` of row `row` in a tile of 256-byte rows; the exclusive or
// spreads eight rows of one column over all banks.
__device__ int swizzled(int row, int chunk) {
  return row * kHeadDim * 2 + ((chunk ^ (row & 7)) * 16);
}

// Rows [first, first + 64) of one head; zero beyond the last row.
__device__ void fetch_tile(std::uint32_t tile, const __nv_bfloat16* head, std::int64_t first,
                           const Arguments& args) {
#pragma unroll
  for (int i = 0; i < kTileBytes / 16 / kThreads; ++i) {
    const int item = i * kThreads + static_cast<int>(threadIdx.x);
    const int row = item / 16;
    const int chunk = item % 16;
    const bool inside = first + row < args.rows;
    const __nv_bfloat16* source = head + (inside ? first + row : 0) * args.stride + chunk * 8;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(tile + swizzled(row, chunk)),
                 "l"(source), "r"(inside ? 16 : 0)
                 : "memory");
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

__device__ void wait_fetch() {
  asm volatile("cp.async.wait_group 0;" ::: "memory");
}
__device__ void wait_all_but_one() {
  asm volatile("cp.async.wait_group 1;" ::: "memory");
}

__device__ void load_blocks(std::uint32_t (&r)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ void load_blocks_transposed(std::uint32_t (&r)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ void mma(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                    std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <bool kCausal>
__global__ void __launch_bounds__(kThreads) attention_kernel(Arguments args) {
  extern __shared__ __align__(128) unsigned char shared[];
  const std::uint32_t q_tile = shared_address(shared);
  const std::uint32_t k_tile = q_tile + kTileBytes;
  const std::uint32_t v_tile = k_tile + kTileBytes;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int head = blockIdx.y;
  const int kv = head / (args.heads / args.kv_heads);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kQueries;
  const std::int64_t segment = static_cast<std::int64_t>(blockIdx.z) * args.rows;  // its first row
  const __nv_bfloat16* qkv = args.qkv + segment * args.stride;
  const __nv_bfloat16* keys = qkv + static_cast<std::int64_t>(args.heads + kv) * kHeadDim;
  const __nv_bfloat16* values = keys + static_cast<std::int64_t>(args.kv_heads) * kHeadDim;
  fetch_tile(q_tile, qkv + static_cast<std::int64_t>(head) * kHeadDim, first, args);
  wait_fetch();
  __syncthreads();
  std::uint32_t q[kHeadDim / 16][4];
#pragma unroll
  for (int k = 0; k < kHeadDim / 16; ++k) {
    load_blocks(q[k], q_tile + swizzled(warp * 16 + lane % 16, 2 * k + lane / 16));
  }
  float sums[kHeadDim / 8][4] = {};
  float highest[2] = {-INFINITY, -INFINITY};
  float total[2] = {0, 0};
  const std::int64_t end = kCausal ? min(args.rows, first + kQueries) : args.rows;
  const std::int64_t query = first + warp * 16 + lane / 4;  // and query + 8
  for (std::int64_t start = 0; start < end; start += kKeys) {
    __syncthreads();
    fetch_tile(k_tile, keys, start, args);
    fetch_tile(v_tile, values, start, args);
    wait_all_but_one();
    __syncthreads();
    float scores[kKeys / 8][4] = {};
#pragma unroll
    for (int k = 0; k < kHeadDim / 16; ++k) {
#pragma unroll
      for (int n = 0; n < kKeys / 16; ++n) {
        std::uint32_t b[4];
        load_blocks(b, k_tile + swizzled(n * 16 + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2));
        mma(scores[2 * n], q[k], b[0], b[1]);
        mma(scores[2 * n + 1], q[k], b[2], b[3]);
      }
    }
    if (start + kKeys > args.rows || (kCausal && start + kKeys > first)) {
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const std::int64_t key = start + n * 8 + lane % 4 * 2 + e % 2;
          if (key >= args.rows || (kCausal && key > query + e / 2 * 8)) scores[n][e] = -INFINITY;
        }
      }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float most = highest[r];
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
        most = fmaxf(most, fmaxf(scores[n][2 * r], scores[n][2 * r + 1]));
      most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 1));
      most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 2));
      // Every row sees its first key in the first tile, so `most` is finite from then on.
      const float shrink = fast_exp2((highest[r] - most) * args.scale);
      highest[r] = most;
      float sum = 0;
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
        for (int e = 2 * r; e < 2 * r + 2; ++e) {
          scores[n][e] = fast_exp2((scores[n][e] - most) * args.scale);
          sum += scores[n][e];
        }
      }
      total[r] = total[r] * shrink + sum;
#pragma unroll
      for (int n = 0; n < kHeadDim / 8; ++n) {
        sums[n][2 * r] *= shrink;
        sums[n][2 * r + 1] *= shrink;
      }
    }
    wait_fetch();
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kKeys / 16; ++k) {
      const std::uint32_t p[4] = {pack_bf16(scores[2 * k][0], scores[2 * k][1]),
                                  pack_bf16(scores[2 * k][2], scores[2 * k][3]),
                                  pack_bf16(scores[2 * k + 1][0], scores[2 * k + 1][1]),
                                  pack_bf16(scores[2 * k + 1][2], scores[2 * k + 1][3])};
#pragma unroll
      for (int n = 0; n < kHeadDim / 16; ++n) {
        std::uint32_t b[4];
        load_blocks_transposed(b, v_tile + swizzled(k * 16 + lane % 16, 2 * n + lane / 16));
        mma(sums[2 * n], p, b[0], b[1]);
        mma(sums[2 * n + 1], p, b[2], b[3]);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float sum = total[r];
    sum += __shfl_xor_sync(0xffffffffU, sum, 1);
    sum += __shfl_xor_sync(0xffffffffU, sum, 2);
    if (query + r * 8 >= args.rows) continue;
    __nv_bfloat16* target =
        args.out + ((segment + query + r * 8) * args.heads + head) * kHeadDim + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
      *reinterpret_cast<std::uint32_t*>(target + n * 8) =
          pack_bf16(sums[n][2 * r] / sum, sums[n][2 * r + 1] / sum);
    }
  }
}

}  // namespace

void attention_128(const Tensor& out, const Tensor& qkv, const AttentionShape& shape,
                   cudaStream_t stream) {
  if (qkv.dim(0) == 0) return;
  const std::int64_t rows = qkv.dim(0) / shape.segments;
  const Arguments args{static_cast<__nv_bfloat16*>(out.data),
                       static_cast<const __nv_bfloat16*>(qkv.data),
                       rows,
                       qkv.dim(1),
                       static_cast<int>(shape.heads),
                       static_cast<int>(shape.kv_heads),
                       shape.scale * kLog2E};
  const dim3 grid(blocks_for(rows, kQueries), static_cast<unsigned>(shape.heads),
                  static_cast<unsigned>(shape.segments));
  const auto launch = [&](auto* kernel) {
    check_cuda(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 3 * kTileBytes));
    kernel<<<grid, kThreads, 3 * kTileBytes, stream>>>(args);
  };
  if (shape.causal) {
    launch(&attention_kernel<true>);
  } else {
    launch(&attention_kernel<false>);
  }
  check_launch();
}

}  // namespace zimage::cuda::kernels
