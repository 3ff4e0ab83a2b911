// Numbers to e4m3 with the scale of their row.
#pragma once

#include <cuda_fp8.h>

#include <cstdint>

#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {

// Rounding to e4m3 lengthens a row by at most a sixteenth, so a product of two rows exceeds that of
// their lengths by at most this.
constexpr float kFp8Growth = 1.15F;

// A row's scale: its greatest magnitude, or a bound of it, becomes the type's. A bound far too high
// costs little: e4m3 keeps all its digits down to 1 / 28000 of its greatest number.
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

// Two numbers, the first in the low byte.
__device__ __forceinline__ std::uint16_t pack_fp8(float low, float high, const Fp8Scale& scale) {
  return __nv_cvt_float2_to_fp8x2(make_float2(low * scale.factor, high * scale.factor),
                                  __NV_SATFINITE, __NV_E4M3);
}

// Precondition: 8-byte aligned.
__device__ __forceinline__ void store_fp8(std::uint8_t* out, const float (&values)[kVector],
                                          const Fp8Scale& scale) {
  std::uint32_t words[2];
#pragma unroll
  for (int w = 0; w < 2; ++w) {
    const std::uint32_t low = pack_fp8(values[4 * w], values[4 * w + 1], scale);
    const std::uint32_t high = pack_fp8(values[4 * w + 2], values[4 * w + 3], scale);
    words[w] = low | high << 16;
  }
  *reinterpret_cast<uint2*>(out) = make_uint2(words[0], words[1]);
}

// What a row's scale and bounds are made of: a thread's part at first, the row's after add_up().
struct RowExtent {
  float greatest = 0;  // magnitude
  float squares = 0;

  __device__ __forceinline__ void add(float value) {
    greatest = fmaxf(greatest, fabsf(value));
    squares = fmaf(value, value, squares);
  }
  __device__ __forceinline__ float length() const { return sqrtf(squares); }

  // Over a block of kThreads, in every thread.
  template <int kThreads>
  __device__ __forceinline__ void add_up() {
    __shared__ float parts[kThreads / 32][2];
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
      greatest = fmaxf(greatest, __shfl_xor_sync(0xffffffffU, greatest, step));
      squares += __shfl_xor_sync(0xffffffffU, squares, step);
    }
    if (threadIdx.x % 32 == 0) {
      parts[threadIdx.x / 32][0] = greatest;
      parts[threadIdx.x / 32][1] = squares;
    }
    __syncthreads();
    squares = 0;
#pragma unroll
    for (int i = 0; i < kThreads / 32; ++i) {
      greatest = fmaxf(greatest, parts[i][0]);
      squares += parts[i][1];
    }
  }
};

}  // namespace zimage::cuda::kernels
