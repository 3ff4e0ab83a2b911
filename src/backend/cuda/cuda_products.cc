// Products with weights: which kernel takes them, what is rounded to e4m3 for them, and what waits
// for the operation that follows to become one pass with it.
#include "backend/cuda/check_cuda.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/operands.h"

namespace zimage::cuda {
namespace {

constexpr std::int64_t kRopeHeadDim = 128;  // of heads that a product can turn
constexpr std::int64_t kTileRows = 128;     // of our own products
constexpr std::int64_t kTileColumns = 256;

// Products for silu_mul(). Of few rows they are kept in f32, which costs nothing there.
Tensor gate_up_of(const Tensor& out, std::byte* memory) {
  const DType dtype = out.dim(0) <= kernels::kSmallRows ? DType::F32 : out.dtype;
  return {memory, dtype, {out.dim(0), 2 * out.dim(1)}};
}

// x as e4m3, and what a product of it that has to be converted takes: the kernel writes bf16.
std::size_t fp8_scratch(const Tensor& out, const Tensor& x) {
  return fp8_bytes(x.dim(0), x.dim(1)) + (out.dtype == DType::BF16 ? 0 : 2 * out.bytes());
}

}  // namespace

std::size_t CudaBackend::linear_scratch(const Tensor& out, const Tensor& x,
                                        const Weight& weight) const {
  if (is_fp8(weight)) return fp8_scratch(out, x);
  return x.dim(0) <= kernels::kSmallRows ? 0 : operand_bytes(x, weight.dtype);
}

std::size_t CudaBackend::swiglu_scratch(const Tensor& out, const Tensor& x,
                                        const Weight& gate_up) const {
  if (is_fp8(gate_up)) return fp8_scratch(out, x);
  if (fused_swiglu(out, x)) return 0;
  return operand_bytes(x, gate_up.dtype) + gate_up_of(out, nullptr).bytes();
}

Tensor CudaBackend::as_operand(const Tensor& x, std::byte* target) {
  if (x.dtype == options_.activations) return x;
  const Tensor converted{target, options_.activations, x.shape};
  kernels::convert(converted, x, stream_);
  return converted;
}

// --- e4m3 ---

bool CudaBackend::takes_fp8(std::int64_t out, std::int64_t in) const {
  constexpr std::int64_t kLeast = 384;  // of both sides: smaller products gain nothing
  return encoding_ == Encoding::Fp8 && out >= kLeast && in >= kLeast && out % 16 == 0 &&
         in % 16 == 0;
}

kernels::Fp8Matrix CudaBackend::fp8_in_place(const Tensor& out, const Weight* feeds) const {
  if (feeds == nullptr || !is_fp8(*feeds) || out.dtype != DType::BF16 || !aligned(out) ||
      fp8_bytes(out.dim(0), out.dim(1)) > out.bytes()) {
    return {};
  }
  return fp8_matrix_at(out.data, out.dim(0), out.dim(1));
}

void CudaBackend::multiply_fp8(const Product& product, const kernels::GemmArgs& args) {
  const auto& [out, x, weight, quantized] = product;
  std::byte* memory = scratch(fp8_scratch(out, x));
  kernels::Fp8Matrix operand = fp8_matrix_at(memory, x.dim(0), x.dim(1));
  if (quantized && quantized->x.data == x.data && quantized->x.shape == x.shape) {
    operand = quantized->operand;
  } else {
    kernels::quantize_rows(operand, x, {}, stream_);
  }
  if (out.dtype == DType::BF16) {
    kernels::gemm_fp8_sm90(out, operand, fp8_matrix_of(weight), args, stream_);
    return;
  }
  const Tensor narrow{memory + fp8_bytes(x.dim(0), x.dim(1)), DType::BF16, out.shape};
  kernels::GemmArgs alone = args;
  alone.accumulate = false;
  kernels::gemm_fp8_sm90(narrow, operand, fp8_matrix_of(weight), alone, stream_);
  if (!args.accumulate) {
    kernels::convert(out, narrow, stream_);
    return;
  }
  const Tensor wide{static_cast<std::byte*>(narrow.data) + round_up(narrow.bytes()), DType::F32,
                    out.shape};
  kernels::convert(wide, narrow, stream_);
  kernels::add_scaled(out, wide, 1.0F, stream_);
}

// --- Linear ---

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

// gemm_sm90() needs whole 16-byte rows on both sides.
bool CudaBackend::fused_linear(const Tensor& out, const Tensor& x) const {
  return hopper_ && x.dtype == DType::BF16 && out.dtype == DType::BF16 && x.dim(1) % 8 == 0 &&
         out.dim(1) % 8 == 0 && aligned(x) && aligned(out);
}

bool CudaBackend::fills_tiles(std::int64_t rows, std::int64_t columns) const {
  return (rows + kTileRows - 1) / kTileRows * ((columns + kTileColumns - 1) / kTileColumns) >=
         processors_;
}

void CudaBackend::do_linear(const Tensor& out, const Tensor& x, const Weight& weight,
                            const LinearArgs& args) {
  const Product product{out, x, weight, quantized_};
  static_cast<void>(start());
  const bool plain = args.bias.empty() && args.activation == Activation::None && !args.accumulate;
  if (plain && fused_linear(out, x) && fills_tiles(out.dim(0), out.dim(1))) {
    held_back_ = product;
  } else {
    enqueue_linear(product, args);
  }
}

void CudaBackend::enqueue_linear(const Product& product, const LinearArgs& args) {
  const auto& [out, x, weight, quantized] = product;
  const bool silu = args.activation == Activation::Silu;
  const auto* bias = static_cast<const float*>(args.bias.data);
  const kernels::GemmArgs fused{
      .bias = bias, .silu = silu, .accumulate = args.accumulate, .memory = gemm_memory_};
  if (is_fp8(weight)) {
    multiply_fp8(product, fused);
    return;
  }
  if (x.dim(0) <= kernels::kSmallRows) {
    kernels::small_linear(out, x, matrix_of(weight),
                          {.bias = bias, .silu = silu, .accumulate = args.accumulate}, stream_);
    return;
  }
  if (fused_linear(out, x) && (silu || !args.bias.empty())) {
    kernels::gemm_sm90(out, x, matrix_of(weight), fused, stream_);
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

// --- With what follows or comes before ---

void CudaBackend::do_qk_norm_rope(const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
                                  const RopeArgs& args) {
  const kernels::RopeInputs inputs{.q_norm = q_norm.as<float>(),
                                   .k_norm = k_norm.as<float>(),
                                   .cos_sin = args.cos_sin.as<float>(),
                                   .heads = args.heads,
                                   .kv_heads = args.kv_heads,
                                   .head_dim = qkv.dim(1) / (args.heads + 2 * args.kv_heads),
                                   .eps = args.eps,
                                   .interleaved = args.pairing == Pairing::Interleaved};
  const auto* held = std::get_if<Product>(&held_back_);
  const bool fits = inputs.interleaved && inputs.head_dim == kRopeHeadDim && aligned(q_norm) &&
                    aligned(k_norm) && aligned(args.cos_sin);
  if (fits && held != nullptr && held->out.data == qkv.data && held->out.shape == qkv.shape) {
    const Product product = *held;
    held_back_ = {};
    turn_product(product, inputs);
    return;
  }
  kernels::qk_norm_rope(qkv, inputs, start());
}

void CudaBackend::turn_product(const Product& product, const kernels::RopeInputs& inputs) {
  const cudaStream_t stream = queue();
  quantized_.reset();
  kernels::GemmArgs args{
      .epilogue = kernels::Epilogue::Rope, .rope = inputs, .memory = gemm_memory_};
  if (!is_fp8(product.weight)) {
    kernels::gemm_sm90(product.out, product.x, matrix_of(product.weight), args, stream);
    return;
  }
  check_cuda(cudaMemsetAsync(greatest_value_, 0, sizeof(unsigned), stream));
  args.greatest_value = greatest_value_;
  multiply_fp8(product, args);
  bounded_ = product.out;
}

// With fewer tiles than processors a product of cuBLASLt's and a pass over it are faster.
bool CudaBackend::fused_swiglu(const Tensor& out, const Tensor& x) const {
  return fused_linear(out, x) && fills_tiles(x.dim(0), 2 * out.dim(1));
}

void CudaBackend::do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up,
                            const SwigluArgs& args) {
  const Product product{out, x, gate_up, quantized_};
  static_cast<void>(start());
  if (is_fp8(gate_up)) {
    const kernels::Fp8Matrix fp8 = fp8_in_place(out, args.feeds);
    if (fp8.data == nullptr) {
      multiply_fp8(product, {.epilogue = kernels::Epilogue::Swiglu, .memory = gemm_memory_});
    } else {
      multiply_fp8(
          product,
          {.epilogue = kernels::Epilogue::SwigluFp8, .quantized = fp8, .memory = gemm_memory_});
      quantized_ = {out, fp8};
    }
    return;
  }
  if (fused_swiglu(out, x)) {
    kernels::gemm_sm90(out, x, matrix_of(gate_up),
                       {.epilogue = kernels::Epilogue::Swiglu, .memory = gemm_memory_}, stream_);
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

void CudaBackend::do_rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                              const NormArgs& args) {
  const kernels::NormInputs inputs{weight, args.scale, args.eps};
  const kernels::Fp8Matrix fp8 =
      out.data == x.data ? kernels::Fp8Matrix{} : fp8_in_place(out, args.feeds);
  const auto leave = [&] {
    if (fp8.data != nullptr) quantized_ = {out, fp8};
  };
  const auto* held = std::get_if<GatedNorm>(&held_back_);
  if (held != nullptr && held->x.data == x.data && held->x.shape == x.shape &&
      held->x.dtype == x.dtype && out.data != held->y.data && out.data != x.data) {
    const cudaStream_t stream = queue();
    quantized_.reset();
    if (kernels::add_then_norm(out, fp8, x, held->y, held->inputs, inputs, stream)) {
      held_back_ = {};
      leave();
      return;
    }
  }
  const cudaStream_t stream = start();
  if (fp8.data != nullptr && kernels::rms_norm_fp8(out, fp8, x, inputs, stream)) {
    leave();
    return;
  }
  kernels::rms_norm(out, x, inputs, stream);
}

void CudaBackend::do_add_gated_rms_norm(const Tensor& x, const Tensor& y, const Tensor& weight,
                                        const GatedNormArgs& args) {
  static_cast<void>(start());
  held_back_ = GatedNorm{.x = x, .y = y, .inputs = {weight, args.gate, args.eps}};
}

void CudaBackend::flush() {
  const auto held = std::exchange(held_back_, {});
  if (const auto* product = std::get_if<Product>(&held)) enqueue_linear(*product, {});
  if (const auto* norm = std::get_if<GatedNorm>(&held))
    kernels::add_gated_rms_norm(norm->x, norm->y, norm->inputs, stream_);
}

}  // namespace zimage::cuda
