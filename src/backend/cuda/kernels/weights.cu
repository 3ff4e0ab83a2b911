// Weights from a file's order and type into the backend's, one matrix or kernel at a time.
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kThreads = 256;

template <typename Out, typename In>
__global__ void place_rows_kernel(Out* out, const In* source, std::int64_t in,
                                  RowPlacement placement, bool vectors) {
  const std::int64_t row = placement.first_row + blockIdx.x;
  const std::int64_t target =
      placement.part < 0 ? row : gate_up_column(row, placement.part, placement.features);
  const In* from = source + blockIdx.x * in;
  Out* to = out + target * in;
  if (vectors) {
    for (std::int64_t i = threadIdx.x * kVector; i < in; i += kThreads * kVector) {
      float values[kVector];
      load(values, from + i);
      store(to + i, values);
    }
    return;
  }
  for (std::int64_t i = threadIdx.x; i < in; i += kThreads) from_float(to[i], to_float(from[i]));
}

template <typename Out, typename In>
__global__ void place_kernel_kernel(Out* out, const In* source, std::int64_t n, std::int64_t in,
                                    std::int64_t taps) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  const std::int64_t channel = i % in;
  const std::int64_t tap = i / in % taps;
  const std::int64_t o = i / in / taps;
  from_float(out[i], to_float(source[(o * in + channel) * taps + tap]));
}

// Rows (or columns) of a 3-wide kernel that read the same pixel of the smaller map. Phase 0 reads
// pixels -1 (kernel row 0) and 0 (rows 1 and 2), phase 1 pixels 0 (rows 0 and 1) and 1 (row 2).
__device__ int first_of(int phase, int tap) {
  return phase == 0 ? tap : 2 * tap;
}
__device__ int last_of(int phase, int tap) {
  return phase == 0 ? 2 * tap : 1 + tap;
}

__global__ void phases_kernel(__nv_bfloat16* out, const __nv_bfloat16* kernel, std::int64_t n,
                              std::int64_t in, std::int64_t rows) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  const std::int64_t channel = i % in;
  const int tap = static_cast<int>(i / in % 4);
  const std::int64_t o = i / in / 4 % rows;
  const int phase = static_cast<int>(i / in / 4 / rows);
  float sum = 0;
  for (int y = first_of(phase / 2, tap / 2); y <= last_of(phase / 2, tap / 2); ++y) {
    for (int x = first_of(phase % 2, tap % 2); x <= last_of(phase % 2, tap % 2); ++x) {
      sum += __bfloat162float(kernel[((o * 3 + y) * 3 + x) * in + channel]);
    }
  }
  out[i] = __float2bfloat16_rn(sum);
}

}  // namespace

void place_rows(const Tensor& out, const Tensor& source, const RowPlacement& placement,
                cudaStream_t stream) {
  const std::int64_t in = source.dim(1);
  if (source.elements() == 0) return;
  const bool vectors = in % kVector == 0 && aligned(out) && aligned(source);
  with_type(out.dtype, [&](auto* out_type) {
    with_type(source.dtype, [&](auto* in_type) {
      using Out = std::remove_pointer_t<decltype(out_type)>;
      using In = std::remove_pointer_t<decltype(in_type)>;
      place_rows_kernel<<<static_cast<unsigned>(source.dim(0)), kThreads, 0, stream>>>(
          static_cast<Out*>(out.data), static_cast<const In*>(source.data), in, placement, vectors);
    });
  });
  check_launch();
}

void place_kernel(const Tensor& out, const Tensor& source, cudaStream_t stream) {
  const std::int64_t n = source.elements();
  if (n == 0) return;
  with_type(out.dtype, [&](auto* out_type) {
    with_type(source.dtype, [&](auto* in_type) {
      using Out = std::remove_pointer_t<decltype(out_type)>;
      using In = std::remove_pointer_t<decltype(in_type)>;
      place_kernel_kernel<<<blocks_for(n, kThreads), kThreads, 0, stream>>>(
          static_cast<Out*>(out.data), static_cast<const In*>(source.data), n, source.dim(1),
          source.dim(2) * source.dim(3));
    });
  });
  check_launch();
}

void upsampling_phases(const Tensor& out, const Tensor& kernel, cudaStream_t stream) {
  phases_kernel<<<blocks_for(out.elements(), kThreads), kThreads, 0, stream>>>(
      static_cast<__nv_bfloat16*>(out.data), static_cast<const __nv_bfloat16*>(kernel.data),
      out.elements(), kernel.dim(3), kernel.dim(0));
  check_launch();
}

}  // namespace zimage::cuda::kernels
