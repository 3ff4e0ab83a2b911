// Numbers to e4m3 with the scale of their row.
#pragma once

#include <cuda_fp8.h>

#include <cstdint>

#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {

// A row's scale: its greatest magnitude becomes the type's.
struct Fp8Scale {
  float value = 1;   // number times this is the original
  float factor = 1;  // original times this is the number

  __device__ explicit Fp8Scale(float greatest) {
    constexpr float kGreatest = 448;  // of e4m3
    if (greatest > 0) {
      value = greatest / kGreatest;
      factor = kGreatest / greatest;
    }
  }
};

// Precondition: 8-byte aligned.
__device__ __forceinline__ void store_fp8(std::uint8_t* out, const float (&values)[kVector],
                                          const Fp8Scale& scale) {
  std::uint32_t words[2];
#pragma unroll
  for (int w = 0; w < 2; ++w) {
    const __nv_fp8x2_storage_t low = __nv_cvt_float2_to_fp8x2(
        make_float2(values[4 * w] * scale.factor, values[4 * w + 1] * scale.factor), __NV_SATFINITE,
        __NV_E4M3);
    const __nv_fp8x2_storage_t high = __nv_cvt_float2_to_fp8x2(
        make_float2(values[4 * w + 2] * scale.factor, values[4 * w + 3] * scale.factor),
        __NV_SATFINITE, __NV_E4M3);
    words[w] = static_cast<std::uint32_t>(low) | static_cast<std::uint32_t>(high) << 16;
  }
  *reinterpret_cast<uint2*>(out) = make_uint2(words[0], words[1]);
}

}  // namespace zimage::cuda::kernels
