// Element-wise operations: each number read once, eight at a time where alignment allows.
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kThreads = 256;

template <typename Out, typename In>
__global__ void convert_kernel(Out* out, const In* x, std::int64_t n, bool vectors) {
  const std::int64_t first =
      (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kVector;
  if (first >= n) return;
  if (vectors && first + kVector <= n) {
    float values[kVector];
    load(values, x + first);
    store(out + first, values);
    return;
  }
  for (std::int64_t i = first; i < min(first + kVector, n); ++i) from_float(out[i], to_float(x[i]));
}

// x = f(x) or x = f(x, y) with y of the same type.
template <typename T, typename F>
__global__ void map_kernel(T* x, const T* y, std::int64_t n, bool vectors, F f) {
  const std::int64_t first =
      (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kVector;
  if (first >= n) return;
  if (vectors && first + kVector <= n) {
    float a[kVector];
    float b[kVector];
    load(a, x + first);
    load(b, y + first);
#pragma unroll
    for (int i = 0; i < kVector; ++i) a[i] = f(a[i], b[i]);
    store(x + first, a);
    return;
  }
  for (std::int64_t i = first; i < min(first + kVector, n); ++i)
    from_float(x[i], f(to_float(x[i]), to_float(y[i])));
}

struct Swish {
  __device__ float operator()(float a, float /*b*/) const { return swish(a); }
};
struct AddScaled {
  float factor;
  __device__ float operator()(float a, float b) const { return fmaf(factor, b, a); }
};

template <typename F>
void map(const Tensor& x, const Tensor& y, F f, cudaStream_t stream) {
  if (x.elements() == 0) return;
  with_activation(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    map_kernel<<<blocks_for(x.elements(), kThreads * kVector), kThreads, 0, stream>>>(
        static_cast<T*>(x.data), static_cast<const T*>(y.data), x.elements(),
        aligned(x) && aligned(y), f);
  });
  check_launch();
}

__global__ void blend_kernel(float* x, const float* y, const float* mask, std::int64_t n) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) x[i] = mask[i] * x[i] + (1.0F - mask[i]) * y[i];
}

// A 32-bit mix of the index (murmur3's finalizer).
template <typename T>
__global__ void noise_kernel(T* out, std::int64_t n) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  auto bits = static_cast<std::uint32_t>(i);
  bits = (bits ^ (bits >> 16)) * 0x85ebca6bU;
  bits = (bits ^ (bits >> 13)) * 0xc2b2ae35U;
  bits ^= bits >> 16;
  from_float(out[i], static_cast<float>(static_cast<std::int32_t>(bits)) * 0x1p-31F);
}

template <typename T>
__global__ void rows_kernel(T* out, const float* row, std::int64_t n, std::int64_t dim,
                            RowMode mode, bool vectors) {
  const std::int64_t first =
      (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kVector;
  if (first >= n) return;
  if (vectors) {
    float values[kVector];
    load(values, row + first % dim);
    if (mode == RowMode::Add) {
      float before[kVector];
      load(before, out + first);
#pragma unroll
      for (int i = 0; i < kVector; ++i) values[i] += before[i];
    }
    store(out + first, values);
    return;
  }
  for (std::int64_t i = first; i < min(first + kVector, n); ++i) {
    from_float(out[i], row[i % dim] + (mode == RowMode::Add ? to_float(out[i]) : 0.0F));
  }
}

template <typename T>
__global__ void silu_of_sums_kernel(T* out, const float* sums, std::int64_t n, RowMode mode) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  from_float(out[i], swish(sums[i]) + (mode == RowMode::Add ? to_float(out[i]) : 0.0F));
}

template <typename Out, typename In>
__global__ void silu_mul_kernel(Out* out, const In* gate_up, std::int64_t n, std::int64_t features,
                                bool vectors) {
  const std::int64_t first =
      (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kVector;
  if (first >= n) return;
  if (vectors) {
    float low[kVector];
    float high[kVector];
    float values[kVector];
    load(low, gate_up + 2 * first);
    load(high, gate_up + 2 * first + kVector);
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      const float* half = i % 2 == 0 ? low : high;
      values[i] = swish(half[i / 2 * 2]) * half[i / 2 * 2 + 1];
    }
    store(out + first, values);
    return;
  }
  for (std::int64_t i = first; i < min(first + kVector, n); ++i) {
    const In* row = gate_up + i / features * 2 * features;
    const float gate = to_float(row[gate_up_column(i % features, 0, features)]);
    from_float(out[i], swish(gate) * to_float(row[gate_up_column(i % features, 1, features)]));
  }
}

}  // namespace

void convert(const Tensor& out, const Tensor& x, cudaStream_t stream) {
  if (x.elements() == 0) return;
  with_type(out.dtype, [&](auto* out_type) {
    with_type(x.dtype, [&](auto* in_type) {
      using Out = std::remove_pointer_t<decltype(out_type)>;
      using In = std::remove_pointer_t<decltype(in_type)>;
      convert_kernel<<<blocks_for(x.elements(), kThreads * kVector), kThreads, 0, stream>>>(
          static_cast<Out*>(out.data), static_cast<const In*>(x.data), x.elements(),
          aligned(out) && aligned(x));
    });
  });
  check_launch();
}

void silu(const Tensor& x, cudaStream_t stream) {
  map(x, x, Swish{}, stream);
}

void add_scaled(const Tensor& x, const Tensor& y, float factor, cudaStream_t stream) {
  map(x, y, AddScaled{factor}, stream);
}

void blend(const Tensor& x, const Tensor& y, const Tensor& mask, cudaStream_t stream) {
  if (x.elements() == 0) return;
  blend_kernel<<<blocks_for(x.elements(), kThreads), kThreads, 0, stream>>>(
      x.as<float>(), y.as<float>(), mask.as<float>(), x.elements());
  check_launch();
}

void fill_noise(const Tensor& out, cudaStream_t stream) {
  if (out.elements() == 0) return;
  with_activation(out.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    noise_kernel<<<blocks_for(out.elements(), kThreads), kThreads, 0, stream>>>(
        static_cast<T*>(out.data), out.elements());
  });
  check_launch();
}

void fill_rows(const Tensor& out, const Tensor& row, RowMode mode, cudaStream_t stream) {
  const std::int64_t dim = row.elements();
  if (out.elements() == 0) return;
  const bool vectors = dim % kVector == 0 && aligned(out) && aligned(row);
  with_activation(out.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    rows_kernel<<<blocks_for(out.elements(), kThreads * kVector), kThreads, 0, stream>>>(
        static_cast<T*>(out.data), row.as<float>(), out.elements(), dim, mode, vectors);
  });
  check_launch();
}

void silu_of_sums(const Tensor& out, const Tensor& sums, RowMode mode, cudaStream_t stream) {
  if (out.elements() == 0) return;
  with_activation(out.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    silu_of_sums_kernel<<<blocks_for(out.elements(), kThreads), kThreads, 0, stream>>>(
        static_cast<T*>(out.data), sums.as<float>(), out.elements(), mode);
  });
  check_launch();
}

void silu_mul(const Tensor& out, const Tensor& gate_up, cudaStream_t stream) {
  const std::int64_t features = out.dim(1);
  if (out.elements() == 0) return;
  const bool vectors = features % kVector == 0 && aligned(out) && aligned(gate_up);
  with_activation(out.dtype, [&](auto* out_type) {
    with_activation(gate_up.dtype, [&](auto* in_type) {
      using Out = std::remove_pointer_t<decltype(out_type)>;
      using In = std::remove_pointer_t<decltype(in_type)>;
      silu_mul_kernel<<<blocks_for(out.elements(), kThreads * kVector), kThreads, 0, stream>>>(
          static_cast<Out*>(out.data), static_cast<const In*>(gate_up.data), out.elements(),
          features, vectors);
    });
  });
  check_launch();
}

}  // namespace zimage::cuda::kernels
