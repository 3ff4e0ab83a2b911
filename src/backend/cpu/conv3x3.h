// 3x3 convolutions on the CPU, stride 1 or 2, zero padding 1, channels last, f32: Winograd F(4x4,
// 3x3), or directly to four channels or fewer. What enters: a kernel as stored, packed once; then
// maps [H, W, C]. What leaves: the convolved map. The result does not depend on the number of
// threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backend/backend.h"
#include "backend/cpu/kernels/conv3x3_kernels.h"

namespace zimage::cpu {

// Bytes of a packed kernel [out, in, 3, 3]: for Winograd 36 f32 for each 9 numbers, `out` rounded
// up to kConvPanel. The layout is the same for every instruction set.
std::size_t conv3x3_weight_bytes(std::int64_t out, std::int64_t in);

// Packs `kernel` [out, in, 3, 3] of f32, f16 or bf16 into conv3x3_weight_bytes() bytes aligned
// to 64. The transform is computed in f64 and rounded once.
void pack_conv3x3(void* packed, const Tensor& kernel, int threads);

// Scratch that conv3x3() needs for `threads` threads: it depends on the kernel's extents and not on
// the map's.
std::size_t conv3x3_scratch_bytes(std::int64_t out, std::int64_t in, int threads);

// What a convolution computes with.
struct ConvContext {
  const ConvKernels& kernels;
  int threads = 1;
  std::span<std::byte> scratch;  // conv3x3_scratch_bytes(), aligned to 64
};

// out [H, W, weight.out] = convolution of x [H, W, weight.in] (with args.upsample_2x: [H/2, W/2,
// in]), or += it; with args.downsample_2x the pixels of odd rows and columns alone. `weight.data`
// was packed by pack_conv3x3; out and x are f32 and do not overlap. Precondition: shapes as
// Backend::conv2d checks them.
void conv3x3(const Tensor& out, const Tensor& x, const Weight& weight, const ConvArgs& args,
             const ConvContext& context);

}  // namespace zimage::cpu
