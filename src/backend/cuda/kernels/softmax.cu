// Softmax of rows of scores, for attention in chunks.
#include <cmath>
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kThreads = 256;

struct MaxOf {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct SumOf {
  __device__ float operator()(float a, float b) const { return a + b; }
};

template <typename F>
__device__ float block_reduce(float value, F f) {
  __shared__ float parts[kThreads / 32];
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    value = f(value, __shfl_xor_sync(0xffffffffU, value, step));
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  float total = parts[0];
#pragma unroll
  for (int i = 1; i < kThreads / 32; ++i) total = f(total, parts[i]);
  __syncthreads();
  return total;
}

// The row is read three times; its 64 KiB at 16384 columns stay in the L2.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    softmax_kernel(T* out, const float* scores, std::int64_t stride, SoftmaxInputs in) {
  const float* row = scores + blockIdx.x * stride;
  T* target = out + blockIdx.x * stride;
  const std::int64_t visible =
      in.causal ? min(in.columns, in.first_row + blockIdx.x + 1) : in.columns;
  float highest = -INFINITY;
  for (std::int64_t i = threadIdx.x; i < visible; i += kThreads) highest = fmaxf(highest, row[i]);
  highest = block_reduce(highest, MaxOf{});
  float sum = 0;
  for (std::int64_t i = threadIdx.x; i < visible; i += kThreads) sum += __expf(row[i] - highest);
  const float inverse = 1.0F / block_reduce(sum, SumOf{});
  for (std::int64_t i = threadIdx.x; i < in.columns; i += kThreads) {
    from_float(target[i], i < visible ? __expf(row[i] - highest) * inverse : 0.0F);
  }
}

}  // namespace

void softmax(const Tensor& out, const Tensor& scores, const SoftmaxInputs& inputs,
             cudaStream_t stream) {
  with_activation(out.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    softmax_kernel<<<static_cast<unsigned>(scores.dim(0)), kThreads, 0, stream>>>(
        static_cast<T*>(out.data), scores.as<float>(), scores.dim(1), inputs);
  });
  check_launch();
}

}  // namespace zimage::cuda::kernels
