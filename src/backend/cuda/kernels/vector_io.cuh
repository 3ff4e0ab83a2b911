// Eight numbers at a time between memory and f32 registers: 16 bytes of bf16 or 32 of f32.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/tensor.h"

namespace zimage::cuda::kernels {

constexpr int kVector = 8;

__device__ __forceinline__ float to_float(float value) {
  return value;
}
__device__ __forceinline__ float to_float(__nv_bfloat16 value) {
  return __bfloat162float(value);
}
__device__ __forceinline__ float to_float(__half value) {
  return __half2float(value);
}
__device__ __forceinline__ void from_float(float& out, float value) {
  out = value;
}
__device__ __forceinline__ void from_float(__nv_bfloat16& out, float value) {
  out = __float2bfloat16_rn(value);
}
__device__ __forceinline__ void from_float(__half& out, float value) {
  out = __float2half_rn(value);
}

__device__ __forceinline__ std::uint32_t pack_bf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const std::uint32_t&>(pair);
}

// Precondition: 16-byte aligned.
__device__ __forceinline__ void load(float (&values)[kVector], const float* x) {
  const float4 low = *reinterpret_cast<const float4*>(x);
  const float4 high = *reinterpret_cast<const float4*>(x + 4);
  values[0] = low.x, values[1] = low.y, values[2] = low.z, values[3] = low.w;
  values[4] = high.x, values[5] = high.y, values[6] = high.z, values[7] = high.w;
}
__device__ __forceinline__ void load(float (&values)[kVector], const __nv_bfloat16* x) {
  const uint4 raw = *reinterpret_cast<const uint4*>(x);
  const std::uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[2 * i] = __uint_as_float(words[i] << 16);
    values[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000U);
  }
}
__device__ __forceinline__ void load(float (&values)[kVector], const __half* x) {
#pragma unroll
  for (int i = 0; i < kVector; ++i) values[i] = __half2float(x[i]);
}
__device__ __forceinline__ void store(float* out, const float (&values)[kVector]) {
  *reinterpret_cast<float4*>(out) = make_float4(values[0], values[1], values[2], values[3]);
  *reinterpret_cast<float4*>(out + 4) = make_float4(values[4], values[5], values[6], values[7]);
}
__device__ __forceinline__ void store(__nv_bfloat16* out, const float (&values)[kVector]) {
  *reinterpret_cast<uint4*>(out) =
      make_uint4(pack_bf16(values[0], values[1]), pack_bf16(values[2], values[3]),
                 pack_bf16(values[4], values[5]), pack_bf16(values[6], values[7]));
}
__device__ __forceinline__ void store(__half* out, const float (&values)[kVector]) {
#pragma unroll
  for (int i = 0; i < kVector; ++i) out[i] = __float2half_rn(values[i]);
}

// 2^value, flushing what is below the normal range to zero.
__device__ __forceinline__ float fast_exp2(float value) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
}

__device__ __forceinline__ float swish(float value) {
  return __fdividef(value, 1.0F + __expf(-value));
}

// The sum over a warp, in every lane.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffU, value, step);
  return value;
}

inline bool aligned(const Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.data) % 16 == 0;
}

// Blocks for n items at `per_block` each, at most 2^30.
inline unsigned blocks_for(std::int64_t n, std::int64_t per_block) {
  return static_cast<unsigned>((n + per_block - 1) / per_block);
}

// Calls f with a null pointer of the element type: the way from DType to a template argument.
template <typename F>
void with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::F32: f(static_cast<float*>(nullptr)); return;
    case DType::BF16: f(static_cast<__nv_bfloat16*>(nullptr)); return;
    case DType::F16: f(static_cast<__half*>(nullptr)); return;
    default:
      throw Error(ErrorCode::Unsupported, "cuda: no kernel for " + std::string(name_of(dtype)));
  }
}
// Likewise for activations, which are never f16.
template <typename F>
void with_activation(DType dtype, F&& f) {
  if (dtype == DType::F32) {
    f(static_cast<float*>(nullptr));
  } else {
    f(static_cast<__nv_bfloat16*>(nullptr));
  }
}

}  // namespace zimage::cuda::kernels
