// The operations, each handed to the kernel that suits its types and sizes.
#include <algorithm>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/kernels/kernels.h"
#include "base/error.h"

namespace zimage::cuda {
namespace {

constexpr std::int64_t kHeadDim = 128;  // what the attention kernels are made for
// What attention and convolutions in chunks may take at a time.
constexpr std::int64_t kChunkBytes = std::int64_t{64} << 20;

Tensor matrix_of(const Weight& weight) {
  return {weight.data, weight.dtype, {weight.out, weight.kernel * weight.kernel * weight.in}};
}

bool aligned(const Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.data) % 16 == 0;
}

constexpr std::size_t kRounding = Arena::kAlignment;  // the most that round_up() adds

std::size_t round_up(std::size_t bytes) {
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

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

// Products for silu_mul(). Of few rows they are kept in f32, which costs nothing there.
Tensor gate_up_of(const Tensor& out, std::byte* memory) {
  const DType dtype = out.dim(0) <= kernels::kSmallRows ? DType::F32 : out.dtype;
  return {memory, dtype, {out.dim(0), 2 * out.dim(1)}};
}

// x as an operand of an e4m3 product: its numbers, then the scales of its rows.
std::size_t fp8_bytes(const Tensor& x) {
  return round_up(static_cast<std::size_t>(x.elements())) +
         round_up(static_cast<std::size_t>(x.dim(0)) * sizeof(float));
}

bool is_fp8(const Weight& weight) {
  return weight.dtype == DType::U8;
}

// The scales follow the numbers in the slab.
kernels::Fp8Matrix fp8_matrix_of(const Weight& weight) {
  auto* numbers = static_cast<std::byte*>(weight.data);
  const std::size_t bytes = round_up(static_cast<std::size_t>(weight.out * weight.in));
  return {numbers, reinterpret_cast<float*>(numbers + bytes), weight.out, weight.in};
}

std::size_t operand_bytes(const Tensor& x, DType dtype) {
  return x.dtype == dtype ? 0 : round_up(static_cast<std::size_t>(x.elements()) * size_of(dtype));
}

}  // namespace

std::size_t CudaBackend::scratch_bytes(ScratchOp op, const Tensor& out, const Tensor& x,
                                       const Weight& weight) const {
  switch (op) {
    case ScratchOp::Linear:
      if (is_fp8(weight)) return fp8_bytes(x) + (out.dtype == DType::BF16 ? 0 : 2 * out.bytes());
      return x.dim(0) <= kernels::kSmallRows ? 0 : operand_bytes(x, weight.dtype);
    case ScratchOp::Swiglu: {
      if (is_fp8(weight)) return fp8_bytes(x) + (out.dtype == DType::BF16 ? 0 : 2 * out.bytes());
      if (fused_swiglu(out, x)) return 0;
      return operand_bytes(x, weight.dtype) + gate_up_of(out, nullptr).bytes();
    }
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

Tensor CudaBackend::as_operand(const Tensor& x, std::byte* target) {
  if (x.dtype == options_.activations) return x;
  const Tensor converted{target, options_.activations, x.shape};
  kernels::convert(converted, x, stream_);
  return converted;
}

bool CudaBackend::takes_fp8(std::int64_t out, std::int64_t in) const {
  constexpr std::int64_t kLeast = 384;  // of both sides: smaller products gain nothing
  return encoding_ == Encoding::Fp8 && out >= kLeast && in >= kLeast && out % 16 == 0 &&
         in % 16 == 0;
}

void CudaBackend::multiply_fp8(const Tensor& out, const Tensor& x, const Weight& weight,
                               const kernels::GemmArgs& args, const Tensor& quantized) {
  const std::size_t bytes = fp8_bytes(x) + (out.dtype == DType::BF16 ? 0 : 2 * out.bytes());
  const bool ready =
      quantized.data == x.data && quantized.shape == x.shape && bytes <= scratch_bytes_;
  std::byte* memory = scratch(bytes);
  auto* scales =
      reinterpret_cast<float*>(memory + round_up(static_cast<std::size_t>(x.elements())));
  const kernels::Fp8Matrix operand{memory, scales, x.dim(0), x.dim(1)};
  if (!ready) kernels::quantize_rows(operand, x, {}, stream_);
  if (out.dtype == DType::BF16) {
    kernels::gemm_fp8_sm90(out, operand, fp8_matrix_of(weight), args, stream_);
    return;
  }
  // The kernel writes bf16.
  const Tensor narrow{memory + fp8_bytes(x), DType::BF16, out.shape};
  kernels::GemmArgs alone = args;
  alone.accumulate = false;
  kernels::gemm_fp8_sm90(narrow, operand, fp8_matrix_of(weight), alone, stream_);
  if (!args.accumulate) {
    kernels::convert(out, narrow, stream_);
    return;
  }
  const Tensor wide{memory + fp8_bytes(x) + round_up(narrow.bytes()), DType::F32, out.shape};
  kernels::convert(wide, narrow, stream_);
  kernels::add_scaled(out, wide, 1.0F, stream_);
}

void CudaBackend::multiply(const Tensor& out, const Tensor& x, const Weight& weight,
                           kernels::RowMode mode) {
  const std::int64_t depth = weight.kernel * weight.kernel * weight.in;
  const bool all_aligned = aligned(out) && aligned(x) && aligned(matrix_of(weight));
  matmul_->run({.rows = x.dim(0),
                .columns = weight.out,
                .depth = depth,
                .x_stride = depth,
                .w_stride = depth,
                .out_stride = weight.out,
                .in = weight.dtype,
                .out = out.dtype,
                .alignment = all_aligned ? 16 : static_cast<std::int64_t>(size_of(x.dtype)),
                .accumulate = mode == kernels::RowMode::Add},
               x.data, weight.data, out.data, 1.0F, stream_);
}

kernels::RowMode CudaBackend::begin_sums(const Tensor& out, const Tensor& bias,
                                         kernels::RowMode mode) {
  if (bias.empty()) return mode;
  kernels::fill_rows(out, bias, mode, stream_);
  return kernels::RowMode::Add;
}

void CudaBackend::do_linear(const Tensor& out, const Tensor& x, const Weight& weight,
                            const LinearArgs& args) {
  const Tensor quantized = quantized_;
  static_cast<void>(start());
  const bool silu = args.activation == Activation::Silu;
  const auto* bias = static_cast<const float*>(args.bias.data);
  if (is_fp8(weight)) {
    multiply_fp8(out, x, weight, {.bias = bias, .silu = silu, .accumulate = args.accumulate},
                 quantized);
    return;
  }
  if (x.dim(0) <= kernels::kSmallRows) {
    kernels::small_linear(out, x, matrix_of(weight),
                          {.bias = bias, .silu = silu, .accumulate = args.accumulate}, stream_);
    return;
  }
  if (fused_linear(out, x) && (silu || !args.bias.empty())) {
    kernels::gemm_sm90(out, x, matrix_of(weight),
                       {.bias = bias, .silu = silu, .accumulate = args.accumulate}, stream_);
    return;
  }
  // SiLU is not linear in what is added up before, so it works on f32 sums kept apart.
  const std::size_t operand = operand_bytes(x, weight.dtype);
  const std::size_t sums_bytes =
      silu ? static_cast<std::size_t>(out.elements()) * sizeof(float) : 0;
  std::byte* memory = operand + sums_bytes > 0 ? scratch(operand + sums_bytes) : nullptr;
  const Tensor sums = silu ? Tensor{memory + operand, DType::F32, out.shape} : out;
  const auto mode = args.accumulate ? kernels::RowMode::Add : kernels::RowMode::Fill;
  multiply(sums, as_operand(x, memory), weight,
           begin_sums(sums, args.bias, silu ? kernels::RowMode::Fill : mode));
  if (silu) {
    kernels::silu_of_sums(out, sums, mode, stream_);
  }
}

// gemm_sm90() needs whole 16-byte rows on both sides.
bool CudaBackend::fused_linear(const Tensor& out, const Tensor& x) const {
  return hopper_ && x.dtype == DType::BF16 && out.dtype == DType::BF16 && x.dim(1) % 8 == 0 &&
         out.dim(1) % 8 == 0 && aligned(x) && aligned(out);
}

// With fewer tiles than processors a product of cuBLASLt's and a pass over it are faster.
bool CudaBackend::fused_swiglu(const Tensor& out, const Tensor& x) const {
  const std::int64_t tiles = (x.dim(0) + 127) / 128 * ((2 * out.dim(1) + 255) / 256);
  return fused_linear(out, x) && tiles >= processors_;
}

void CudaBackend::do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up) {
  const Tensor quantized = quantized_;
  static_cast<void>(start());
  if (is_fp8(gate_up)) {
    multiply_fp8(out, x, gate_up, {.epilogue = kernels::Epilogue::Swiglu}, quantized);
    return;
  }
  if (fused_swiglu(out, x)) {
    kernels::gemm_sm90(out, x, matrix_of(gate_up), {.epilogue = kernels::Epilogue::Swiglu},
                       stream_);
    return;
  }
  const std::size_t operand = operand_bytes(x, gate_up.dtype);
  std::byte* memory = scratch(operand + gate_up_of(out, nullptr).bytes());
  const Tensor both = gate_up_of(out, memory + operand);
  if (x.dim(0) <= kernels::kSmallRows) {
    kernels::small_linear(both, x, matrix_of(gate_up), {}, stream_);
  } else {
    multiply(both, as_operand(x, memory), gate_up, kernels::RowMode::Fill);
  }
  kernels::silu_mul(out, both, stream_);
}

kernels::Fp8Matrix CudaBackend::copy_for(const Tensor& x) {
  if (!fp8_depths_.contains(x.dim(1)) || x.dtype != DType::BF16 || fp8_bytes(x) > scratch_bytes_)
    return {};
  auto* numbers = static_cast<std::byte*>(scratch_);
  auto* scales =
      reinterpret_cast<float*>(numbers + round_up(static_cast<std::size_t>(x.elements())));
  return {numbers, scales, x.dim(0), x.dim(1)};
}

void CudaBackend::do_rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                              const NormArgs& args) {
  const kernels::NormInputs inputs{weight, args.scale, args.eps};
  // What is normed is mostly multiplied next: where that takes e4m3, the norm writes it on its way.
  const kernels::Fp8Matrix copy = copy_for(x);
  if (held_back_ && held_back_->x.data == x.data && held_back_->x.shape == x.shape &&
      held_back_->x.dtype == x.dtype && out.data != held_back_->y.data && out.data != x.data) {
    const cudaStream_t stream = queue();
    quantized_ = {};
    if (kernels::add_then_norm(out, copy, x, held_back_->y, held_back_->inputs, inputs, stream)) {
      held_back_.reset();
      if (copy.data != nullptr) quantized_ = out;
      return;
    }
  }
  const cudaStream_t stream = start();
  if (copy.data != nullptr && kernels::rms_norm_fp8(out, copy, x, inputs, stream)) {
    quantized_ = out;
    return;
  }
  kernels::rms_norm(out, x, inputs, stream);
}

void CudaBackend::do_layer_norm(const Tensor& out, const Tensor& x, const NormArgs& args) {
  kernels::layer_norm(out, x, {{}, args.scale, args.eps}, start());
}

void CudaBackend::do_add_gated_rms_norm(const Tensor& x, const Tensor& y, const Tensor& weight,
                                        const GatedNormArgs& args) {
  static_cast<void>(start());
  held_back_ = {.x = x, .y = y, .inputs = {weight, args.gate, args.eps}};
}

void CudaBackend::do_qk_norm_rope(const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
                                  const RopeArgs& args) {
  kernels::qk_norm_rope(qkv,
                        {.q_norm = q_norm.as<float>(),
                         .k_norm = k_norm.as<float>(),
                         .cos_sin = args.cos_sin.as<float>(),
                         .heads = args.heads,
                         .kv_heads = args.kv_heads,
                         .head_dim = qkv.dim(1) / (args.heads + 2 * args.kv_heads),
                         .eps = args.eps,
                         .interleaved = args.pairing == Pairing::Interleaved},
                        start());
}

void CudaBackend::do_attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) {
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
    kernels::attention_128_sm90(
        out, qkv, shape,
        {.partial = scratch(kernels::attention_partial_bytes()), .counters = counters_}, stream);
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

void CudaBackend::do_cast(const Tensor& out, const Tensor& x) {
  kernels::convert(out, x, start());
}

void CudaBackend::do_fill_rows(const Tensor& out, const Tensor& row) {
  kernels::fill_rows(out, row, kernels::RowMode::Fill, start());
}

// What conv_sm90() takes: whole 128-byte stages of input channels, and output rows it can store.
bool CudaBackend::direct_conv(const Tensor& out, const Tensor& x) const {
  const bool upsamples = out.dim(0) != x.dim(0);
  const bool stores = out.dim(2) % 8 == 0 || (out.dim(2) <= 16 && !upsamples);
  return hopper_ && x.dtype == DType::BF16 && x.dim(2) % 64 == 0 && stores && aligned(x) &&
         aligned(out);
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
      kernels::gather_patches(
          patches, map,
          {.kernel = weight.kernel, .first_row = first, .upsample_2x = args.upsample_2x}, stream_);
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
                       .silu = args.activation == Activation::Silu},
                      memory, start());
}

}  // namespace zimage::cuda
