// Rows to e4m3 with one scale each, the greatest magnitude of a row becoming the type's greatest,
// and their lengths: operands of fp8 products.
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/fp8.cuh"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kThreads = 256;

// One block a row, read twice: the second time from the cache. Columns are a multiple of 8.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    quantize_kernel(Fp8Matrix out, const T* source, std::int64_t columns, RowPlacement placement) {
  const std::int64_t row = placement.first_row + blockIdx.x;
  const std::int64_t target =
      placement.part < 0 ? row : gate_up_column(row, placement.part, placement.features);
  const T* from = source + blockIdx.x * columns;
  RowExtent extent;
  for (std::int64_t i = threadIdx.x * kVector; i < columns; i += kThreads * kVector) {
    float values[kVector];
    load(values, from + i);
#pragma unroll
    for (int e = 0; e < kVector; ++e) extent.add(values[e]);
  }
  extent.add_up<kThreads>();
  const Fp8Scale scale(extent.greatest);
  if (threadIdx.x == 0) {
    out.scales[target] = scale.value;
    if (out.lengths != nullptr) out.lengths[target] = extent.length();
    // Bits of positive numbers are in the order of the numbers.
    if (out.longest != nullptr) atomicMax(out.longest, __float_as_uint(extent.length()));
  }
  for (std::int64_t i = threadIdx.x * kVector; i < columns; i += kThreads * kVector) {
    float values[kVector];
    load(values, from + i);
    store_fp8(static_cast<std::uint8_t*>(out.data) + target * columns + i, values, scale);
  }
}

}  // namespace

void quantize_rows(const Fp8Matrix& out, const Tensor& source, const RowPlacement& placement,
                   cudaStream_t stream) {
  if (source.elements() == 0) return;
  with_type(source.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    quantize_kernel<<<static_cast<unsigned>(source.dim(0)), kThreads, 0, stream>>>(
        out, static_cast<const T*>(source.data), source.dim(1), placement);
  });
  check_launch();
}

}  // namespace zimage::cuda::kernels
