// Group normalisation in three launches: sums of each channel over slabs of pixels (none where the
// statistics are given), one scale and shift for each channel, and the pass that applies them (with
// SiLU).
#include <algorithm>
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostSlabs = 1024;

std::int64_t slabs_of(const Tensor& x) {
  return std::clamp<std::int64_t>(x.dim(0) * x.dim(1) / 64, 1, kMostSlabs);
}

// partial [slabs, 2, C]: sums of (x - first pixel's x) and of its square. The shift keeps the
// squares small where a channel's mean is large beside its deviation. One block a slab; threads
// cover kWide channels each.
template <typename T, int kWide>
__global__ void __launch_bounds__(kThreads)
    sums_kernel(float* partial, const T* x, std::int64_t pixels, std::int64_t channels) {
  extern __shared__ float shared[];  // [rows of threads, 2, channels]
  const std::int64_t across = min(channels / kWide, static_cast<std::int64_t>(kThreads));
  const std::int64_t rows = kThreads / across;
  const std::int64_t row = threadIdx.x / across;
  const std::int64_t first = pixels * blockIdx.x / gridDim.x;
  const std::int64_t last = pixels * (blockIdx.x + 1) / gridDim.x;
  for (std::int64_t c = threadIdx.x % across * kWide; row < rows && c < channels;
       c += across * kWide) {
    float shift[kVector] = {};
    float sum[kVector] = {};
    float squares[kVector] = {};
    const auto read = [&](float(&values)[kVector], const T* from) {
      if constexpr (kWide == kVector) {
        load(values, from);
      } else {
        values[0] = to_float(from[0]);
      }
    };
    read(shift, x + c);
#pragma unroll 4
    for (std::int64_t p = first + row; p < last; p += rows) {
      float values[kVector] = {};
      read(values, x + p * channels + c);
#pragma unroll
      for (int e = 0; e < kWide; ++e) {
        const float value = values[e] - shift[e];
        sum[e] += value;
        squares[e] = fmaf(value, value, squares[e]);
      }
    }
#pragma unroll
    for (int e = 0; e < kWide; ++e) {
      shared[(row * 2) * channels + c + e] = sum[e];
      shared[(row * 2 + 1) * channels + c + e] = squares[e];
    }
  }
  __syncthreads();
  for (std::int64_t i = threadIdx.x; i < 2 * channels; i += kThreads) {
    float total = 0;
    for (std::int64_t r = 0; r < rows; ++r) total += shared[r * 2 * channels + i];
    partial[blockIdx.x * 2 * channels + i] = total;
  }
}

struct Moments {
  double mean;
  double variance;
};

// Of the group of a block, in every thread of it, from the sums of the slabs.
template <typename T>
__device__ Moments group_moments(const float* partial, const T* x, std::int64_t slabs,
                                 double pixels, std::int64_t channels, std::int64_t groups) {
  __shared__ double parts[2][kThreads];
  const std::int64_t width = channels / groups;
  const std::int64_t begin = blockIdx.x * width;
  // Sums over the group relative to its first channel's shift: x = shift_c + v, reference r = shift
  // of begin.
  const double reference = static_cast<double>(to_float(x[begin]));
  double sum = 0;
  double squares = 0;
  for (std::int64_t i = threadIdx.x; i < slabs * width; i += kThreads) {
    const std::int64_t c = begin + i % width;
    const double offset = static_cast<double>(to_float(x[c])) - reference;
    const double s = partial[(i / width * 2) * channels + c];
    const double q = partial[(i / width * 2 + 1) * channels + c];
    // The slab's own pixel count, as sums_kernel splits them.
    const auto total = static_cast<std::int64_t>(pixels);
    const std::int64_t slab = i / width;
    const auto count = static_cast<double>(total * (slab + 1) / slabs - total * slab / slabs);
    sum += s + count * offset;
    squares += q + 2 * offset * s + count * offset * offset;
  }
  parts[0][threadIdx.x] = sum;
  parts[1][threadIdx.x] = squares;
  __syncthreads();
  for (int step = kThreads / 2; step > 0; step /= 2) {
    if (threadIdx.x < step) {
      parts[0][threadIdx.x] += parts[0][threadIdx.x + step];
      parts[1][threadIdx.x] += parts[1][threadIdx.x + step];
    }
    __syncthreads();
  }
  const double n = pixels * static_cast<double>(width);
  const double mean = parts[0][0] / n;
  return {mean + reference, fmax(parts[1][0] / n - mean * mean, 0.0)};
}

// factors [2, C]: what multiplies x and what is added. One block a group.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    factors_kernel(float* factors, const float* partial, const T* x, std::int64_t slabs,
                   double pixels, std::int64_t channels, GroupNormInputs in) {
  const std::int64_t width = channels / in.groups;
  const std::int64_t begin = blockIdx.x * width;
  double mean = 0;
  double variance = 0;
  if (in.given) {
    mean = in.statistics[blockIdx.x];
    variance = in.statistics[in.groups + blockIdx.x];
  } else {
    const Moments moments = group_moments(partial, x, slabs, pixels, channels, in.groups);
    mean = moments.mean;
    variance = moments.variance;
    if (in.statistics != nullptr && threadIdx.x == 0) {
      in.statistics[blockIdx.x] = static_cast<float>(mean);
      in.statistics[in.groups + blockIdx.x] = static_cast<float>(variance);
    }
  }
  const double inverse = 1.0 / sqrt(variance + static_cast<double>(in.eps));
  for (std::int64_t c = begin + threadIdx.x; c < begin + width; c += kThreads) {
    const double factor = inverse * in.weight[c];
    factors[c] = static_cast<float>(factor);
    factors[channels + c] = static_cast<float>(in.bias[c] - mean * factor);
  }
}

template <typename T, int kWide>
__global__ void __launch_bounds__(kThreads)
    apply_kernel(T* out, const T* x, const float* factors, std::int64_t n, std::int64_t channels,
                 bool silu) {
  const std::int64_t i = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kWide;
  if (i >= n) return;
  const std::int64_t c = i % channels;
  if constexpr (kWide == kVector) {
    float values[kVector];
    float factor[kVector];
    float shift[kVector];
    load(values, x + i);
    load(factor, factors + c);
    load(shift, factors + channels + c);
#pragma unroll
    for (int e = 0; e < kVector; ++e) {
      values[e] = fmaf(values[e], factor[e], shift[e]);
      if (silu) values[e] = swish(values[e]);
    }
    store(out + i, values);
  } else {
    const float value = fmaf(to_float(x[i]), factors[c], factors[channels + c]);
    from_float(out[i], silu ? swish(value) : value);
  }
}

template <typename T, int kWide>
void launch(const Tensor& out, const Tensor& x, const GroupNormInputs& in, float* scratch,
            cudaStream_t stream) {
  const std::int64_t pixels = x.dim(0) * x.dim(1);
  const std::int64_t channels = x.dim(2);
  const std::int64_t slabs = slabs_of(x);
  float* factors = scratch;
  float* partial = scratch + 2 * channels;
  const T* from = static_cast<const T*>(x.data);
  const std::int64_t across = std::min<std::int64_t>(channels / kWide, kThreads);
  const std::size_t shared =
      static_cast<std::size_t>(kThreads / across * 2 * channels) * sizeof(float);
  if (shared > 48 * 1024) {
    check_cuda(cudaFuncSetAttribute(sums_kernel<T, kWide>,
                                    cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shared)));
  }
  if (!in.given) {
    sums_kernel<T, kWide><<<static_cast<unsigned>(slabs), kThreads, shared, stream>>>(
        partial, from, pixels, channels);
    check_launch();
  }
  factors_kernel<T><<<static_cast<unsigned>(in.groups), kThreads, 0, stream>>>(
      factors, partial, from, slabs, static_cast<double>(pixels), channels, in);
  check_launch();
  apply_kernel<T, kWide><<<blocks_for(x.elements(), kThreads * kWide), kThreads, 0, stream>>>(
      static_cast<T*>(out.data), from, factors, x.elements(), channels, in.silu);
  check_launch();
}

}  // namespace

std::size_t group_norm_scratch(const Tensor& x) {
  return static_cast<std::size_t>((slabs_of(x) + 1) * 2 * x.dim(2)) * sizeof(float);
}

void group_norm(const Tensor& out, const Tensor& x, const GroupNormInputs& inputs, void* scratch,
                cudaStream_t stream) {
  if (x.elements() == 0) return;
  const bool vectors = x.dim(2) % kVector == 0 && aligned(out) && aligned(x);
  with_activation(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (vectors) {
      launch<T, kVector>(out, x, inputs, static_cast<float*>(scratch), stream);
    } else {
      launch<T, 1>(out, x, inputs, static_cast<float*>(scratch), stream);
    }
  });
}

}  // namespace zimage::cuda::kernels
