// Norms over rows: one block a row, the row held in registers between its two uses.
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/fp8.cuh"
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
  Fp8Matrix fp8;  // takes the result's place unless empty
  const float* weight;
  const float* factor;
  float eps;
  std::int64_t dim;
};

// What one number becomes. `before` is x of the residual for GatedAdd.
template <Norm kNorm>
__device__ __forceinline__ float finish(float value, float inverse, float weight, float factor,
                                        float before) {
  const float normed = value * inverse * weight;
  if constexpr (kNorm == Norm::GatedAdd) return fmaf(factor, normed, before);
  return normed * (1.0F + factor);
}

// The row as e4m3.
template <int kChunks>
__device__ __forceinline__ void write_fp8(const float (&values)[kChunks][kVector],
                                          const RowArguments& args) {
  RowExtent extent;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    if ((c * kThreads + static_cast<int>(threadIdx.x)) * kVector >= args.dim) continue;
#pragma unroll
    for (int e = 0; e < kVector; ++e) extent.add(values[c][e]);
  }
  extent.add_up<kThreads>();
  const Fp8Scale scale(extent.greatest);
  if (threadIdx.x == 0) {
    args.fp8.scales[blockIdx.x] = scale.value;
    args.fp8.lengths[blockIdx.x] = extent.length();
  }
  auto* numbers = static_cast<std::uint8_t*>(args.fp8.data) + blockIdx.x * args.dim;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int i = (c * kThreads + static_cast<int>(threadIdx.x)) * kVector;
    if (i < args.dim) store_fp8(numbers + i, values[c], scale);
  }
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
    float factor[kVector] = {kAbsent, kAbsent, kAbsent, kAbsent,
                             kAbsent, kAbsent, kAbsent, kAbsent};
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
    if (kNorm != Norm::Rms || args.fp8.data == nullptr) store(target + i, values[c]);
  }
  if constexpr (kNorm == Norm::Rms) {
    if (args.fp8.data != nullptr) write_fp8(values, args);
  }
}

struct PairArguments {
  RowArguments add;   // of x += gate * norm(y)
  RowArguments norm;  // of out = norm(x), which may be e4m3
};

// Both in one pass: x is read and written once.
template <typename T, int kChunks>
__global__ void __launch_bounds__(kThreads)
    add_then_norm_vectors(T* out, T* x, const T* y, PairArguments args) {
  const std::int64_t dim = args.add.dim;
  const T* row = y + blockIdx.x * dim;
  T* residual = x + blockIdx.x * dim;
  float values[kChunks][kVector] = {};
  float before[kChunks][kVector] = {};
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int i = (c * kThreads + static_cast<int>(threadIdx.x)) * kVector;
    if (i >= dim) continue;
    load(values[c], row + i);
    load(before[c], residual + i);
  }
  const auto inverse_of = [&](const RowArguments& of) {
    float squares = 0;
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
#pragma unroll
      for (int e = 0; e < kVector; ++e) squares = fmaf(values[c][e], values[c][e], squares);
    }
    return rsqrtf(block_sum(squares) / static_cast<float>(dim) + of.eps);
  };
  float inverse = inverse_of(args.add);
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int i = (c * kThreads + static_cast<int>(threadIdx.x)) * kVector;
    if (i >= dim) continue;
    float weight[kVector];
    float gate[kVector] = {1, 1, 1, 1, 1, 1, 1, 1};
    load(weight, args.add.weight + i);
    if (args.add.factor != nullptr) {
      load(gate, args.add.factor + i);
#pragma unroll
      for (int e = 0; e < kVector; ++e) gate[e] = tanhf(gate[e]);
    }
#pragma unroll
    for (int e = 0; e < kVector; ++e) {
      T stored;
      from_float(stored,
                 finish<Norm::GatedAdd>(values[c][e], inverse, weight[e], gate[e], before[c][e]));
      values[c][e] = to_float(stored);
    }
    store(residual + i, values[c]);
  }
  inverse = inverse_of(args.norm);
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int i = (c * kThreads + static_cast<int>(threadIdx.x)) * kVector;
    if (i >= dim) continue;
    float weight[kVector];
    float scale[kVector] = {};
    load(weight, args.norm.weight + i);
    if (args.norm.factor != nullptr) load(scale, args.norm.factor + i);
#pragma unroll
    for (int e = 0; e < kVector; ++e) {
      values[c][e] = finish<Norm::Rms>(values[c][e], inverse, weight[e], scale[e], 0);
    }
    if (args.norm.fp8.data == nullptr) store(out + blockIdx.x * dim + i, values[c]);
  }
  if (args.norm.fp8.data != nullptr) write_fp8(values, args.norm);
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
    if (args.factor != nullptr)
      factor = kNorm == Norm::GatedAdd ? tanhf(args.factor[i]) : args.factor[i];
    const float before = kNorm == Norm::GatedAdd ? to_float(target[i]) : 0.0F;
    from_float(target[i], finish<kNorm>(to_float(row[i]) - mean, inverse, weight, factor, before));
  }
}

bool in_registers(const Tensor& out, const Tensor& in, const NormInputs& inputs) {
  const std::int64_t dim = in.dim(1);
  return dim % kVector == 0 && dim <= kMostChunks * kThreads * kVector && aligned(out) &&
         aligned(in) && aligned(inputs.weight) && aligned(inputs.factor);
}

RowArguments arguments_of(const NormInputs& inputs, const Fp8Matrix& fp8, std::int64_t dim) {
  return {fp8, static_cast<const float*>(inputs.weight.data),
          static_cast<const float*>(inputs.factor.data), inputs.eps, dim};
}

template <Norm kNorm>
void launch(const Tensor& out, const Tensor& in, const NormInputs& inputs, const Fp8Matrix& fp8,
            cudaStream_t stream) {
  const std::int64_t dim = in.dim(1);
  if (in.elements() == 0) return;
  const RowArguments args = arguments_of(inputs, fp8, dim);
  const bool vectors = in_registers(out, in, inputs);
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
  launch<Norm::Rms>(out, x, inputs, {}, stream);
}

bool rms_norm_fp8(const Tensor& out, const Fp8Matrix& fp8, const Tensor& x,
                  const NormInputs& inputs, cudaStream_t stream) {
  if (!in_registers(out, x, inputs)) return false;
  launch<Norm::Rms>(out, x, inputs, fp8, stream);
  return true;
}

bool add_then_norm(const Tensor& out, const Fp8Matrix& fp8, const Tensor& x, const Tensor& y,
                   const NormInputs& add, const NormInputs& norm, cudaStream_t stream) {
  const std::int64_t dim = x.dim(1);
  if (!in_registers(x, y, add) || !in_registers(out, x, norm)) return false;
  if (x.elements() == 0) return true;
  const PairArguments args{arguments_of(add, {}, dim), arguments_of(norm, fp8, dim)};
  const auto rows = static_cast<unsigned>(x.dim(0));
  with_activation(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto launch_with = [&](auto* kernel) {
      kernel<<<rows, kThreads, 0, stream>>>(static_cast<T*>(out.data), static_cast<T*>(x.data),
                                            static_cast<const T*>(y.data), args);
    };
    if (dim <= kThreads * kVector) {
      launch_with(&add_then_norm_vectors<T, 1>);
    } else {
      launch_with(&add_then_norm_vectors<T, kMostChunks>);
    }
  });
  check_launch();
  return true;
}

void layer_norm(const Tensor& out, const Tensor& x, const NormInputs& inputs, cudaStream_t stream) {
  launch<Norm::Layer>(out, x, inputs, {}, stream);
}

void add_gated_rms_norm(const Tensor& x, const Tensor& y, const NormInputs& inputs,
                        cudaStream_t stream) {
  launch<Norm::GatedAdd>(x, y, inputs, {}, stream);
}

}  // namespace zimage::cuda::kernels
