// Rows to e4m3 with one scale each, the greatest magnitude of a row becoming the type's greatest:
// operands of fp8 products.
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/fp8.cuh"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kThreads = 256;

// The greatest over the block, in every thread.
__device__ float block_max(float value) {
  __shared__ float parts[kThreads / 32];
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, step));
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kThreads / 32; ++i) value = fmaxf(value, parts[i]);
  return value;
}

// One block a row, read twice: the second time from the cache. Columns are a multiple of 8.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    quantize_kernel(std::uint8_t* out, float* scales, const T* source, std::int64_t columns,
                    RowPlacement placement) {
  const std::int64_t row = placement.first_row + blockIdx.x;
  const std::int64_t target =
      placement.part < 0 ? row : gate_up_column(row, placement.part, placement.features);
  const T* from = source + blockIdx.x * columns;
  float greatest = 0;
  for (std::int64_t i = threadIdx.x * kVector; i < columns; i += kThreads * kVector) {
    float values[kVector];
    load(values, from + i);
#pragma unroll
    for (int e = 0; e < kVector; ++e) greatest = fmaxf(greatest, fabsf(values[e]));
  }
  greatest = block_max(greatest);
  const Fp8Scale scale(greatest);
  if (threadIdx.x == 0) scales[target] = scale.value;
  for (std::int64_t i = threadIdx.x * kVector; i < columns; i += kThreads * kVector) {
    float values[kVector];
    load(values, from + i);
    store_fp8(out + target * columns + i, values, scale);
  }
}

}  // namespace

void quantize_rows(const Fp8Matrix& out, const Tensor& source, const RowPlacement& placement,
                   cudaStream_t stream) {
  if (source.elements() == 0) return;
  with_type(source.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    quantize_kernel<<<static_cast<unsigned>(source.dim(0)), kThreads, 0, stream>>>(
        static_cast<std::uint8_t*>(out.data), out.scales, static_cast<const T*>(source.data),
        source.dim(1), placement);
  });
  check_launch();
}

}  // namespace zimage::cuda::kernels
