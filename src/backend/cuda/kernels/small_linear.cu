// Matrix products of a few rows: bound by reading the weight, which happens once.
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kThreads = 128;

// One warp an output column, all rows at once.
template <typename Out, typename In, typename W, int kRows>
__global__ void __launch_bounds__(kThreads)
    small_linear_kernel(Out* out, const In* x, const W* weight, std::int64_t rows,
                        std::int64_t columns, std::int64_t in, SmallLinear args, bool vectors) {
  const std::int64_t column =
      static_cast<std::int64_t>(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  if (column >= columns) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const W* w = weight + column * in;
  float sums[kRows] = {};
  if (vectors) {
    for (std::int64_t i = lane * kVector; i < in; i += 32 * kVector) {
      float a[kVector];
      load(a, w + i);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        if (r >= rows) break;
        float b[kVector];
        load(b, x + r * in + i);
#pragma unroll
        for (int e = 0; e < kVector; ++e) sums[r] = fmaf(a[e], b[e], sums[r]);
      }
    }
  } else {
    for (std::int64_t i = lane; i < in; i += 32) {
      const float a = to_float(w[i]);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        if (r < rows) sums[r] = fmaf(a, to_float(x[r * in + i]), sums[r]);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (r >= rows) break;
    float value = warp_sum(sums[r]);
    if (lane != 0) continue;
    if (args.bias != nullptr) value += args.bias[column];
    if (args.silu) value = swish(value);
    Out& target = out[r * columns + column];
    if (args.accumulate) value += to_float(target);
    from_float(target, value);
  }
}

}  // namespace

void small_linear(const Tensor& out, const Tensor& x, const Tensor& weight, const SmallLinear& args,
                  cudaStream_t stream) {
  const std::int64_t in = x.dim(1);
  if (out.elements() == 0) return;
  const bool vectors = in % kVector == 0 && aligned(x) && aligned(weight);
  const unsigned blocks = blocks_for(out.dim(1), kThreads / 32);
  with_activation(out.dtype, [&](auto* out_type) {
    with_activation(x.dtype, [&](auto* in_type) {
      with_activation(weight.dtype, [&](auto* weight_type) {
        using Out = std::remove_pointer_t<decltype(out_type)>;
        using In = std::remove_pointer_t<decltype(in_type)>;
        using W = std::remove_pointer_t<decltype(weight_type)>;
        const auto launch = [&](auto* kernel) {
          kernel<<<blocks, kThreads, 0, stream>>>(
              static_cast<Out*>(out.data), static_cast<const In*>(x.data),
              static_cast<const W*>(weight.data), x.dim(0), out.dim(1), in, args, vectors);
        };
        if (x.dim(0) <= 1) {
          launch(&small_linear_kernel<Out, In, W, 1>);
        } else if (x.dim(0) <= 8) {
          launch(&small_linear_kernel<Out, In, W, 8>);
        } else {
          launch(&small_linear_kernel<Out, In, W, kSmallRows>);
        }
      });
    });
  });
  check_launch();
}

}  // namespace zimage::cuda::kernels
