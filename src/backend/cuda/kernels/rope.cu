// Per-head RMSNorm and rotation of q and k, in place: one pass over two thirds of qkv.
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kHeadDim = 128;
constexpr int kLanes = kHeadDim / kVector;  // threads a head

// Heads of 128: 16 threads a head, one row a block, so the row's angles are read once a thread.
template <typename T, bool kInterleaved>
__global__ void __launch_bounds__(kThreads) rope_128(T* qkv, RopeInputs in) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const std::int64_t heads = in.heads + in.kv_heads;
  T* row = qkv + blockIdx.x * (in.heads + 2 * in.kv_heads) * kHeadDim;
  const float* angles = in.cos_sin + static_cast<std::int64_t>(blockIdx.x) * kHeadDim;
  // Interleaved: elements 8 lane .. + 7 are pairs 4 lane .. + 3. Half split: element i < 64 is pair
  // i.
  float cos_sin[kInterleaved ? kVector : 2 * kVector];
  const int first = kInterleaved ? kVector * lane : 2 * (kVector * lane % (kHeadDim / 2));
#pragma unroll
  for (int i = 0; i < (kInterleaved ? kVector : 2 * kVector); ++i) cos_sin[i] = angles[first + i];
  float weights[2][kVector];
  load(weights[0], in.q_norm + lane * kVector);
  load(weights[1], in.k_norm + lane * kVector);
  // The loop runs equally often in every thread of a warp: a warp's two heads stop together.
  for (std::int64_t base = threadIdx.x / 32 * 2; base < heads; base += kThreads / kLanes) {
    const std::int64_t h = base + threadIdx.x % 32 / kLanes;
    const bool inside = h < heads;
    float x[kVector] = {0, 0, 0, 0, 0, 0, 0, 0};
    T* head = row + h * kHeadDim + lane * kVector;
    if (inside) load(x, head);
    float squares = 0;
#pragma unroll
    for (int i = 0; i < kVector; ++i) squares = fmaf(x[i], x[i], squares);
#pragma unroll
    for (int step = kLanes / 2; step > 0; step /= 2)
      squares += __shfl_xor_sync(0xffffffffU, squares, step);
    const float inverse = rsqrtf(squares / kHeadDim + in.eps);
    const bool key = h >= in.heads;
#pragma unroll
    for (int i = 0; i < kVector; ++i) x[i] *= inverse * (key ? weights[1][i] : weights[0][i]);
    float y[kVector];
    if constexpr (kInterleaved) {
#pragma unroll
      for (int p = 0; p < kVector / 2; ++p) {
        const float a = x[2 * p];
        const float b = x[2 * p + 1];
        y[2 * p] = a * cos_sin[2 * p] - b * cos_sin[2 * p + 1];
        y[2 * p + 1] = a * cos_sin[2 * p + 1] + b * cos_sin[2 * p];
      }
    } else {
      const float sign = lane < kLanes / 2 ? -1.0F : 1.0F;
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        const float other = __shfl_xor_sync(0xffffffffU, x[i], kLanes / 2);
        y[i] = x[i] * cos_sin[2 * i] + sign * other * cos_sin[2 * i + 1];
      }
    }
    if (inside) store(head, y);
  }
}

// Any head_dim: one warp a head.
template <typename T>
__global__ void __launch_bounds__(kThreads) rope_any(T* qkv, RopeInputs in, std::int64_t rows) {
  const std::int64_t heads = in.heads + in.kv_heads;
  const std::int64_t item =
      static_cast<std::int64_t>(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  if (item >= rows * heads) return;
  const std::int64_t t = item / heads;
  const std::int64_t h = item % heads;
  const std::int64_t half = in.head_dim / 2;
  T* head = qkv + (t * (in.heads + 2 * in.kv_heads) + h) * in.head_dim;
  const float* weight = h < in.heads ? in.q_norm : in.k_norm;
  const float* angles = in.cos_sin + t * in.head_dim;
  float squares = 0;
  for (std::int64_t i = threadIdx.x % 32; i < in.head_dim; i += 32)
    squares += to_float(head[i]) * to_float(head[i]);
  const float inverse = rsqrtf(warp_sum(squares) / static_cast<float>(in.head_dim) + in.eps);
  for (std::int64_t p = threadIdx.x % 32; p < half; p += 32) {
    const std::int64_t i = in.interleaved ? 2 * p : p;
    const std::int64_t j = in.interleaved ? 2 * p + 1 : p + half;
    const float a = to_float(head[i]) * inverse * weight[i];
    const float b = to_float(head[j]) * inverse * weight[j];
    from_float(head[i], a * angles[2 * p] - b * angles[2 * p + 1]);
    from_float(head[j], a * angles[2 * p + 1] + b * angles[2 * p]);
  }
}

}  // namespace

void qk_norm_rope(const Tensor& qkv, const RopeInputs& inputs, cudaStream_t stream) {
  const std::int64_t rows = qkv.dim(0);
  if (rows == 0) return;
  const auto is_aligned = [](const void* p) {
    return reinterpret_cast<std::uintptr_t>(p) % 16 == 0;
  };
  const bool fast = inputs.head_dim == kHeadDim && aligned(qkv) && is_aligned(inputs.q_norm) &&
                    is_aligned(inputs.k_norm);
  with_activation(qkv.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    T* data = static_cast<T*>(qkv.data);
    const auto blocks = static_cast<unsigned>(rows);
    if (!fast) {
      const std::int64_t items = rows * (inputs.heads + inputs.kv_heads);
      rope_any<T><<<blocks_for(items, kThreads / 32), kThreads, 0, stream>>>(data, inputs, rows);
    } else if (inputs.interleaved) {
      rope_128<T, true><<<blocks, kThreads, 0, stream>>>(data, inputs);
    } else {
      rope_128<T, false><<<blocks, kThreads, 0, stream>>>(data, inputs);
    }
  });
  check_launch();
}

}  // namespace zimage::cuda::kernels
