// The operations but products (cuda_products.cc), each handed to the kernel that suits its types
// and sizes.
#include <algorithm>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/operands.h"

namespace zimage::cuda {
namespace {

constexpr std::int64_t kHeadDim = 128;  // what the attention kernels are made for
// What attention and convolutions in chunks may take at a time.
constexpr std::int64_t kChunkBytes = std::int64_t{64} << 20;

// Attention in chunks of query rows: scores in f32, then probabilities in the type of qkv.
struct ScoreChunks {
  std::int64_t rows;    // of one chunk
  std::int64_t stride;  // of both matrices, for aligned rows
  std::size_t score_bytes;
  std::size_t bytes;

  explicit ScoreChunks(const Tensor& qkv) {
    const std::int64_t keys = qkv.dim(0);
    stride = (keys + 7) / 8 * 8;
    const auto row_bytes = stride * static_cast<std::int64_t>(sizeof(float) + size_of(qkv.dtype));
    rows = std::clamp<std::int64_t>(kChunkBytes / std::max<std::int64_t>(row_bytes, 1), 1,
                                    std::max<std::int64_t>(keys, 1));
    score_bytes = round_up(static_cast<std::size_t>(rows * stride) * sizeof(float));
    bytes = score_bytes + static_cast<std::size_t>(rows * stride) * size_of(qkv.dtype);
    // Segments of qkv, whose number a plan does not see, may fill their chunks better.
    if (rows < keys) bytes = std::max(bytes, static_cast<std::size_t>(kChunkBytes) + kRounding);
  }
};

// A convolution as products of gathered patches, some rows of the map at a time.
struct PatchChunks {
  std::int64_t rows;
  std::size_t bytes;
  bool gather;

  PatchChunks(const Tensor& out, const Tensor& x, const Weight& weight) {
    gather = weight.kernel != 1 || out.dim(0) != x.dim(0);
    const std::int64_t row_bytes = out.dim(1) * weight.kernel * weight.kernel * weight.in *
                                   static_cast<std::int64_t>(size_of(weight.dtype));
    rows = std::clamp<std::int64_t>(kChunkBytes / std::max<std::int64_t>(row_bytes, 1), 1,
                                    std::max<std::int64_t>(out.dim(0), 1));
    bytes = gather ? round_up(static_cast<std::size_t>(rows * row_bytes)) : 0;
    if (!gather) rows = std::max<std::int64_t>(out.dim(0), 1);
  }
};

}  // namespace

std::size_t CudaBackend::scratch_bytes(ScratchOp op, const Tensor& out, const Tensor& x,
                                       const Weight& weight) const {
  switch (op) {
    case ScratchOp::Linear: return linear_scratch(out, x, weight);
    case ScratchOp::Swiglu: return swiglu_scratch(out, x, weight);
    // The head's width is not told: planned as if in chunks, which only wide heads need.
    case ScratchOp::Attention:
      return std::max(ScoreChunks(x).bytes, hopper_ ? kernels::attention_partial_bytes() : 0);
    case ScratchOp::Conv2d: {
      if (direct_conv(out, x)) {
        return out.dim(0) == x.dim(0)
                   ? 0
                   : static_cast<std::size_t>(16 * weight.out * weight.in) * size_of(weight.dtype);
      }
      return operand_bytes(x, weight.dtype) + PatchChunks(out, x, weight).bytes;
    }
    case ScratchOp::GroupNorm: return kernels::group_norm_scratch(x);
  }
  return 0;
}

void CudaBackend::do_layer_norm(const Tensor& out, const Tensor& x, const NormArgs& args) {
  kernels::layer_norm(out, x, {{}, args.scale, args.eps}, start());
}

void CudaBackend::do_attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) {
  const bool bounded = bounded_.data == qkv.data && bounded_.shape == qkv.shape;
  const cudaStream_t stream = start();
  const bool fused = qkv.dtype == DType::BF16 && out.dim(1) == args.heads * kHeadDim &&
                     aligned(qkv) && aligned(out);
  const kernels::AttentionShape shape{args.heads, args.kv_heads, args.segments, args.scale,
                                      args.causal};
  if (!fused) {
    const std::int64_t rows = qkv.dim(0) / args.segments;
    for (std::int64_t first = 0; first < qkv.dim(0); first += rows)
      attention_in_chunks(out.rows(first, first + rows), qkv.rows(first, first + rows), args);
  } else if (hopper_ && !args.causal) {
    const kernels::AttentionMemory memory{.partial = scratch(kernels::attention_partial_bytes()),
                                          .counters = counters_};
    const kernels::Fp8Matrix fp8 = bounded ? fp8_in_place(out, args.feeds) : kernels::Fp8Matrix{};
    kernels::attention_128_sm90(out, {.out = fp8, .greatest_value = greatest_value_}, qkv, shape,
                                memory, stream);
    if (fp8.data != nullptr) quantized_ = {out, fp8};
  } else {
    kernels::attention_128(out, qkv, shape, stream);
  }
}

void CudaBackend::attention_in_chunks(const Tensor& out, const Tensor& qkv,
                                      const AttentionArgs& args) {
  const std::int64_t rows = qkv.dim(0);
  const std::int64_t stride = qkv.dim(1);
  const std::int64_t head_dim = out.dim(1) / args.heads;
  const ScoreChunks chunks(qkv);
  std::byte* memory = scratch(chunks.bytes);
  const auto element = static_cast<std::int64_t>(size_of(qkv.dtype));
  const std::int64_t head_bytes = head_dim * element;
  const bool all_aligned = head_bytes % 16 == 0 && aligned(qkv) && aligned(out);
  const std::int64_t alignment = all_aligned ? 16 : element;
  auto* base = static_cast<std::byte*>(qkv.data);
  auto* target = static_cast<std::byte*>(out.data);
  for (std::int64_t h = 0; h < args.heads; ++h) {
    const std::int64_t kv = h / (args.heads / args.kv_heads);
    const std::byte* k = base + (args.heads + kv) * head_bytes;
    const std::byte* v = k + args.kv_heads * head_bytes;
    for (std::int64_t first = 0; first < rows; first += chunks.rows) {
      const std::int64_t count = std::min(chunks.rows, rows - first);
      const Tensor scores{memory, DType::F32, {count, chunks.stride}};
      const Tensor weights{memory + chunks.score_bytes, qkv.dtype, {count, chunks.stride}};
      matmul_->run({.rows = count,
                    .columns = rows,
                    .depth = head_dim,
                    .x_stride = stride,
                    .w_stride = stride,
                    .out_stride = chunks.stride,
                    .in = qkv.dtype,
                    .out = DType::F32,
                    .alignment = alignment},
                   base + (first * stride + h * head_dim) * element, k, scores.data, args.scale,
                   stream_);
      kernels::softmax(weights, scores,
                       {.columns = rows, .first_row = first, .causal = args.causal}, stream_);
      matmul_->run({.rows = count,
                    .columns = head_dim,
                    .depth = rows,
                    .x_stride = chunks.stride,
                    .w_stride = stride,
                    .out_stride = out.dim(1),
                    .in = qkv.dtype,
                    .out = out.dtype,
                    .alignment = alignment,
                    .w_by_depth = true},
                   weights.data, v, target + (first * out.dim(1) + h * head_dim) * element, 1.0F,
                   stream_);
    }
  }
}

void CudaBackend::do_silu(const Tensor& x) {
  kernels::silu(x, start());
}

void CudaBackend::do_add_scaled(const Tensor& x, const Tensor& y, float factor) {
  kernels::add_scaled(x, y, factor, start());
}

void CudaBackend::do_blend(const Tensor& x, const Tensor& y, const Tensor& mask) {
  kernels::blend(x, y, mask, start());
}

void CudaBackend::do_cast(const Tensor& out, const Tensor& x) {
  kernels::convert(out, x, start());
}

void CudaBackend::do_fill_rows(const Tensor& out, const Tensor& row) {
  kernels::fill_rows(out, row, kernels::RowMode::Fill, start());
}

// What conv_sm90() takes: whole 128-byte stages of input channels, output rows it can store, and
// every pixel of them.
bool CudaBackend::direct_conv(const Tensor& out, const Tensor& x) const {
  const bool downsamples = out.dim(0) < x.dim(0);
  const bool upsamples = out.dim(0) > x.dim(0);
  const bool stores = out.dim(2) % 8 == 0 || (out.dim(2) <= 16 && !upsamples);
  return hopper_ && x.dtype == DType::BF16 && x.dim(2) % 64 == 0 && stores && !downsamples &&
         aligned(x) && aligned(out);
}

void CudaBackend::do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                            const ConvArgs& args) {
  const cudaStream_t stream = start();
  if (!direct_conv(out, x) || (args.upsample_2x && weight.kernel != 3)) {
    conv_by_patches(out, x, weight, args);
  } else if (args.upsample_2x) {
    conv_upsampling(out, x, weight, args);
  } else {
    const Tensor kernel{
        weight.data, weight.dtype, {weight.out, weight.kernel, weight.kernel, weight.in}};
    kernels::conv_sm90(out, x, kernel,
                       {.kernel = weight.kernel,
                        .bias = static_cast<const float*>(args.bias.data),
                        .accumulate = args.accumulate},
                       stream);
  }
}

// A 3x3 kernel over a map of doubled pixels is four 2x2 kernels over the map itself, one for each
// parity of row and column: 4/9 of the products.
void CudaBackend::conv_upsampling(const Tensor& out, const Tensor& x, const Weight& weight,
                                  const ConvArgs& args) {
  const Tensor phases{
      scratch(static_cast<std::size_t>(16 * weight.out * weight.in) * size_of(weight.dtype)),
      weight.dtype,
      {4, weight.out, 4, weight.in}};
  kernels::upsampling_phases(phases, {weight.data, weight.dtype, {weight.out, 3, 3, weight.in}},
                             stream_);
  for (int phase = 0; phase < 4; ++phase) {
    const Tensor kernel = phases.rows(phase, phase + 1).reshaped({weight.out, 2, 2, weight.in});
    kernels::conv_sm90(out, x, kernel,
                       {.kernel = 2,
                        .bias = static_cast<const float*>(args.bias.data),
                        .accumulate = args.accumulate,
                        .upsampling_phase = true,
                        .phase_y = phase / 2,
                        .phase_x = phase % 2},
                       stream_);
  }
}

void CudaBackend::conv_by_patches(const Tensor& out, const Tensor& x, const Weight& weight,
                                  const ConvArgs& args) {
  if (out.elements() == 0) return;
  const std::size_t operand = operand_bytes(x, weight.dtype);
  const PatchChunks chunks(out, x, weight);
  std::byte* memory = operand + chunks.bytes > 0 ? scratch(operand + chunks.bytes) : nullptr;
  const Tensor map = as_operand(x, memory);
  const Tensor pixels = out.reshaped({out.dim(0) * out.dim(1), out.dim(2)});
  const kernels::RowMode mode = begin_sums(
      pixels, args.bias, args.accumulate ? kernels::RowMode::Add : kernels::RowMode::Fill);
  const std::int64_t width = out.dim(1);
  for (std::int64_t first = 0; first < out.dim(0); first += chunks.rows) {
    const std::int64_t count = std::min(chunks.rows, out.dim(0) - first);
    Tensor patches{
        memory + operand, weight.dtype, {count * width, weight.kernel * weight.kernel * weight.in}};
    if (chunks.gather) {
      kernels::gather_patches(patches, map,
                              {.kernel = weight.kernel,
                               .first_row = first,
                               .upsample_2x = args.upsample_2x,
                               .downsample_2x = args.downsample_2x},
                              stream_);
    } else {
      patches.data = map.data;
    }
    multiply(pixels.rows(first * width, (first + count) * width), patches, weight, mode);
  }
}

void CudaBackend::do_group_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                                const Tensor& bias, const GroupNormArgs& args) {
  std::byte* memory = scratch(kernels::group_norm_scratch(x));
  kernels::group_norm(out, x,
                      {.weight = weight.as<float>(),
                       .bias = bias.as<float>(),
                       .groups = args.groups,
                       .eps = args.eps,
                       .silu = args.activation == Activation::Silu,
                       .statistics = args.statistics.as<float>(),
                       .given = args.given},
                      memory, start());
}

}  // namespace zimage::cuda
