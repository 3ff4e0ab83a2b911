// Norms over rows: one block a row, the row held in registers between its two uses.
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kThreads = 128;
constexpr int kMostChunks = 4;  // of 8 numbers a thread: rows of up to 4096 stay in registers

enum class Norm { Rms, Layer, GatedAdd };

// The sum over the block, in every thread.
__device__ float block_sum(float value) {
  __shared__ float sums[kThreads / 32];
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  float total = 0;
#pragma unroll
  for (int i = 0; i < kThreads / 32; ++i) total += sums[i];
  __syncthreads();
  return total;
}

struct RowArguments {
  const float* weight;
  const float* factor;
  float eps;
  std::int64_t dim;
};

// What one number becomes. `before` is x of the residual for GatedAdd.
template <Norm kNorm>
__device__ __forceinline__ float finish(float value, float inverse, float weight, float factor, float before) {
  const float normed = value * inverse * weight;
  if constexpr (kNorm == Norm::GatedAdd) return fmaf(factor, normed, before);
  return normed * (1.0F + factor);
}

// out may be x. For GatedAdd `in` is y and `out` is x, which is read too.
template <typename T, Norm kNorm, int kChunks>
__global__ void __launch_bounds__(kThreads) norm_vectors(T* out, const T* in, RowArguments args) {
  const T* row = in + blockIdx.x * args.dim;
  T* target = out + blockIdx.x * args.dim;
  float values[kChunks][kVector];
  float before[kNorm == Norm::GatedAdd ? kChunks : 1][kVector];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int i = (c * kThreads + static_cast<int>(threadIdx.x)) * kVector;
    if (i < args.dim) {
      load(values[c], row + i);
      if constexpr (kNorm == Norm::GatedAdd) load(before[c], target + i);
    } else {
#pragma unroll
      for (int e = 0; e < kVector; ++e) values[c][e] = 0;
    }
  }
  float mean = 0;
  if constexpr (kNorm == Norm::Layer) {
    float sum = 0;
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
#pragma unroll
      for (int e = 0; e < kVector; ++e) sum += values[c][e];
    }
    mean = block_sum(sum) / static_cast<float>(args.dim);
  }
  float squares = 0;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const bool inside = (c * kThreads + static_cast<int>(threadIdx.x)) * kVector < args.dim;
#pragma unroll
    for (int e = 0; e < kVector; ++e) {
      values[c][e] -= mean;
      if (inside) squares = fmaf(values[c][e], values[c][e], squares);
    }
  }
  const float inverse = rsqrtf(block_sum(squares) / static_cast<float>(args.dim) + args.eps);
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int i = (c * kThreads + static_cast<int>(threadIdx.x)) * kVector;
    if (i >= args.dim) continue;
    float weight[kVector] = {1, 1, 1, 1, 1, 1, 1, 1};
    constexpr float kAbsent = kNorm == Norm::GatedAdd ? 1.0F : 0.0F;
    float factor[kVector] = {kAbsent, kAbsent, kAbsent, kAbsent, kAbsent, kAbsent, kAbsent, kAbsent};
    if (args.weight != nullptr) load(weight, args.weight + i);
    if (args.factor != nullptr) {
      load(factor, args.factor + i);
      if constexpr (kNorm == Norm::GatedAdd) {
#pragma unroll
        for (int e = 0; e < kVector; ++e) factor[e] = tanhf(factor[e]);
      }
    }
#pragma unroll
    for (int e = 0; e < kVector; ++e) {
      values[c][e] = finish<kNorm>(values[c][e], inverse, weight[e], factor[e],
                                   before[kNorm == Norm::GatedAdd ? c : 0][e]);
    }
    store(target + i, values[c]);
  }
}

// Any row length and alignment.
template <typename T, Norm kNorm>
__global__ void __launch_bounds__(kThreads) norm_scalars(T* out, const T* in, RowArguments args) {
  const T* row = in + blockIdx.x * args.dim;
  T* target = out + blockIdx.x * args.dim;
  float mean = 0;
  if constexpr (kNorm == Norm::Layer) {
    float sum = 0;
    for (std::int64_t i = threadIdx.x; i < args.dim; i += kThreads) sum += to_float(row[i]);
    mean = block_sum(sum) / static_cast<float>(args.dim);
  }
  float squares = 0;
  for (std::int64_t i = threadIdx.x; i < args.dim; i += kThreads) {
    const float value = to_float(row[i]) - mean;
    squares = fmaf(value, value, squares);
  }
  const float inverse = rsqrtf(block_sum(squares) / static_cast<float>(args.dim) + args.eps);
  for (std::int64_t i = threadIdx.x; i < args.dim; i += kThreads) {
    const float weight = args.weight == nullptr ? 1.0F : args.weight[i];
    float factor = kNorm == Norm::GatedAdd ? 1.0F : 0.0F;
    if (args.factor != nullptr) factor = kNorm == Norm::GatedAdd ? tanhf(args.factor[i]) : args.factor[i];
    const float before = kNorm == Norm::GatedAdd ? to_float(target[i]) : 0.0F;
    from_float(target[i], finish<kNorm>(to_float(row[i]) - mean, inverse, weight, factor, before));
  }
}

template <Norm kNorm>
void launch(const Tensor& out, const Tensor& in, const NormInputs& inputs, cudaStream_t stream) {
  const std::int64_t dim = in.dim(1);
  if (in.elements() == 0) return;
  const RowArguments args{static_cast<const float*>(inputs.weight.data),
                          static_cast<const float*>(inputs.factor.data), inputs.eps, dim};
  const bool vectors = dim % kVector == 0 && dim <= kMostChunks * kThreads * kVector && aligned(out) &&
                       aligned(in) && aligned(inputs.weight) && aligned(inputs.factor);
  const auto rows = static_cast<unsigned>(in.dim(0));
  with_activation(in.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    T* to = static_cast<T*>(out.data);
    const T* from = static_cast<const T*>(in.data);
    if (!vectors) {
      norm_scalars<T, kNorm><<<rows, kThreads, 0, stream>>>(to, from, args);
    } else if (dim <= kThreads * kVector) {
      norm_vectors<T, kNorm, 1><<<rows, kThreads, 0, stream>>>(to, from, args);
    } else if (dim <= 3 * kThreads * kVector) {
      norm_vectors<T, kNorm, 3><<<rows, kThreads, 0, stream>>>(to, from, args);
    } else {
      norm_vectors<T, kNorm, kMostChunks><<<rows, kThreads, 0, stream>>>(to, from, args);
    }
  });
  check_launch();
}

}  // namespace

void rms_norm(const Tensor& out, const Tensor& x, const NormInputs& inputs, cudaStream_t stream) {
  launch<Norm::Rms>(out, x, inputs, stream);
}

void layer_norm(const Tensor& out, const Tensor& x, const NormInputs& inputs, cudaStream_t stream) {
  launch<Norm::Layer>(out, x, inputs, stream);
}

void add_gated_rms_norm(const Tensor& x, const Tensor& y, const NormInputs& inputs, cudaStream_t stream) {
  launch<Norm::GatedAdd>(x, y, inputs, stream);
}

}  // namespace zimage::cuda::kernels
