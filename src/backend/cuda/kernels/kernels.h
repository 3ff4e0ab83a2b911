// Launchers of the CUDA kernels. Each enqueues on `stream` and returns; pointers are device memory
// unless said otherwise. Shapes and types were checked by the seam.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "base/tensor.h"

namespace zimage::cuda::kernels {

// --- Element by element (elementwise.cu) ---

// out = x in another float type (f32, f16, bf16).
void convert(const Tensor& out, const Tensor& x, cudaStream_t stream);
void silu(const Tensor& x, cudaStream_t stream);
void add_scaled(const Tensor& x, const Tensor& y, float factor, cudaStream_t stream);
void blend(const Tensor& x, const Tensor& y, const Tensor& mask, cudaStream_t stream);
// Numbers between -1 and 1 that look random: what products are timed on.
void fill_noise(const Tensor& out, cudaStream_t stream);
// Rows of out [T, D] become `row` [D] f32, or take it on top.
enum class RowMode : std::uint8_t { Fill, Add };
void fill_rows(const Tensor& out, const Tensor& row, RowMode mode, cudaStream_t stream);
// out = silu(sums), or out += the same; sums f32 of out's shape.
void silu_of_sums(const Tensor& out, const Tensor& sums, RowMode mode, cudaStream_t stream);
// out [T, F] = silu(gate) * up from gate_up [T, 2F], columns ordered by gate_up_column().
void silu_mul(const Tensor& out, const Tensor& gate_up, cudaStream_t stream);

// Where column (or weight row) f of the gate (part 0) or of up (part 1) stands among 2F. Within 16
// columns a thread of a warpgroup product then holds a gate and its up, and two neighbours of the
// output. F must be a multiple of 8; otherwise gates and ups simply alternate.
#ifdef __CUDACC__
__host__ __device__
#endif
    constexpr std::int64_t
    gate_up_column(std::int64_t f, int part, std::int64_t features) {
  if (features % 8 != 0) return 2 * f + part;
  return f / 8 * 16 + f % 2 * 8 + f % 8 / 2 * 2 + part;
}

// --- Weights (weights.cu) ---

// Rows [first_row, first_row + count) of part `part` of a GateUp matrix of F = `features`, or of a
// plain one (part -1), from rows [count, in] in source's type.
struct RowPlacement {
  std::int64_t first_row = 0;
  int part = -1;
  std::int64_t features = 0;
};
void place_rows(const Tensor& out, const Tensor& source, const RowPlacement& placement,
                cudaStream_t stream);
// e4m3 numbers [rows, columns], each row with a scale: number times scale is the value. Lengths are
// Euclidean, of the rows before they were rounded: they bound what a product can reach.
struct Fp8Matrix {
  void* data = nullptr;
  float* scales = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;  // a multiple of 16
  float* lengths = nullptr;  // of each row, or null
  unsigned* longest =
      nullptr;  // bits of the greatest length so far, raised by quantize_rows(); or null
};
// Rows of out from source's, placed as by place_rows() (quantize.cu).
void quantize_rows(const Fp8Matrix& out, const Tensor& source, const RowPlacement& placement,
                   cudaStream_t stream);
// [out, in, k, k] in source's type to [out, k, k, in].
void place_kernel(const Tensor& out, const Tensor& source, cudaStream_t stream);
// The 2x2 kernels of the four phases of nearest upsampling followed by a 3x3 kernel:
// out [4, O, 2, 2, I] from kernel [O, 3, 3, I], both bf16.
void upsampling_phases(const Tensor& out, const Tensor& kernel, cudaStream_t stream);

// --- Rows (norms.cu, rope.cu, softmax.cu) ---

struct NormInputs {
  Tensor weight;  // [D] f32, or absent
  Tensor factor;  // [D] f32: scale or gate, or absent
  float eps = 0;
};
void rms_norm(const Tensor& out, const Tensor& x, const NormInputs& inputs, cudaStream_t stream);
// The same as e4m3, with lengths, in place of out, which may lie in the same memory; false, having
// done nothing, where rows do not fit.
bool rms_norm_fp8(const Tensor& out, const Fp8Matrix& fp8, const Tensor& x,
                  const NormInputs& inputs, cudaStream_t stream);
// add_gated_rms_norm(x, y, add) and then rms_norm(out, x, norm) in one pass, the latter as e4m3 in
// place of out unless `fp8` is empty; false, having done nothing, where rows do not fit.
bool add_then_norm(const Tensor& out, const Fp8Matrix& fp8, const Tensor& x, const Tensor& y,
                   const NormInputs& add, const NormInputs& norm, cudaStream_t stream);
void layer_norm(const Tensor& out, const Tensor& x, const NormInputs& inputs, cudaStream_t stream);
void add_gated_rms_norm(const Tensor& x, const Tensor& y, const NormInputs& inputs,
                        cudaStream_t stream);

struct RopeInputs {
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  const float* cos_sin = nullptr;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  float eps = 0;
  bool interleaved = true;
};
void qk_norm_rope(const Tensor& qkv, const RopeInputs& inputs, cudaStream_t stream);

// out [R, S] = softmax of the first `columns` columns of scores [R, S] f32; when causal, row i sees
// columns 0..first_row + i.
struct SoftmaxInputs {
  std::int64_t columns = 0;
  std::int64_t first_row = 0;
  bool causal = false;
};
void softmax(const Tensor& out, const Tensor& scores, const SoftmaxInputs& inputs,
             cudaStream_t stream);

// --- Matrices ---

// out [R, O] (+)= activation(x [R, I] W^T + bias) for few rows: reads each weight once
// (small_linear.cu).
constexpr std::int64_t kSmallRows = 16;
struct SmallLinear {
  const float* bias = nullptr;
  bool silu = false;
  bool accumulate = false;
};
void small_linear(const Tensor& out, const Tensor& x, const Tensor& weight, const SmallLinear& args,
                  cudaStream_t stream);

// Attention of bf16 heads of 128 on any architecture from 8.0 on (attention.cu).
struct AttentionShape {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t segments = 1;  // equal runs of rows, each of which sees its own rows alone
  float scale = 0;
  bool causal = false;
};
void attention_128(const Tensor& out, const Tensor& qkv, const AttentionShape& shape,
                   cudaStream_t stream);
// The same on Hopper, without causal masks (attention_sm90.cu).
struct AttentionMemory {
  void* partial = nullptr;       // attention_partial_bytes()
  unsigned* counters = nullptr;  // kAttentionCounters of them, zero before and after
};
// Where the result is to be e4m3: its numbers and scales, and the bits of the greatest magnitude of
// v, which no mean of values exceeds.
struct AttentionFp8 {
  Fp8Matrix out;
  const unsigned* greatest_value = nullptr;
};
constexpr std::size_t kAttentionCounters = 1024;
std::size_t attention_partial_bytes();
// `fp8`, unless empty, takes the place of out.
void attention_128_sm90(const Tensor& out, const AttentionFp8& fp8, const Tensor& qkv,
                        const AttentionShape& shape, const AttentionMemory& memory,
                        cudaStream_t stream);

// Products of bf16 matrices or feature maps on Hopper (gemm_sm90.cu).
enum class Epilogue : std::uint8_t {
  Store,
  Swiglu,     // of a GateUp W
  SwigluFp8,  // the same as e4m3 in `quantized`; from e4m3 operands alone
  Rope,       // qk_norm_rope() of interleaved heads of 128
};
// For products cut into parts at their end: without it none is.
struct GemmMemory {
  float* partial = nullptr;      // gemm_partial_bytes()
  unsigned* counters = nullptr;  // kGemmCounters of them, zero before and after
};
constexpr std::size_t kGemmCounters = 1024;
std::size_t gemm_partial_bytes();
struct GemmArgs {
  Epilogue epilogue = Epilogue::Store;
  const float* bias = nullptr;  // these only with Store: added, then SiLU, then what out holds
  bool silu = false;
  bool accumulate = false;
  Fp8Matrix quantized = {};  // of SwigluFp8: numbers and scales, which bound what a row can hold
  RopeInputs rope = {};      // of Rope
  GemmMemory memory = {};
  // Of Rope from e4m3 operands: bits of the greatest magnitude of v so far, raised; or null.
  unsigned* greatest_value = nullptr;
};
// out [T, O] bf16 = epilogue of x [T, I] W^T. I and O multiples of 8, rows 16-byte aligned.
void gemm_sm90(const Tensor& out, const Tensor& x, const Tensor& weight, const GemmArgs& args,
               cudaStream_t stream);
// The same from e4m3 operands and their scales; O a multiple of 16. SwigluFp8 needs lengths of x
// and the longest row of the weight.
void gemm_fp8_sm90(const Tensor& out, const Fp8Matrix& x, const Fp8Matrix& weight,
                   const GemmArgs& args, cudaStream_t stream);

struct ConvShape {
  std::int64_t kernel = 1;
  const float* bias = nullptr;
  bool accumulate = false;
  // Writes every second pixel, from (phase_y, phase_x) on, of out [2H, 2W, O], reading a 2x2
  // kernel.
  bool upsampling_phase = false;
  int phase_y = 0;
  int phase_x = 0;
};
// out [H, W, O] bf16 (+)= kernel [O, k, k, I] over x [H, W, I] + bias; I a multiple of 64.
void conv_sm90(const Tensor& out, const Tensor& x, const Tensor& weight, const ConvShape& shape,
               cudaStream_t stream);

// --- Feature maps (maps.cu) ---

// Rows [first, first + out.dim(0) / W) of the map as a matrix [pixels, k k I], zero outside. With
// downsample_2x the map is that of the pixels of odd rows and columns, W half of x's.
struct PatchShape {
  std::int64_t kernel = 1;
  std::int64_t first_row = 0;
  bool upsample_2x = false;
  bool downsample_2x = false;
};
void gather_patches(const Tensor& out, const Tensor& x, const PatchShape& shape,
                    cudaStream_t stream);
void upsample_2x(const Tensor& out, const Tensor& x, cudaStream_t stream);

std::size_t group_norm_scratch(const Tensor& x);
struct GroupNormInputs {
  const float* weight = nullptr;
  const float* bias = nullptr;
  std::int64_t groups = 1;
  float eps = 0;
  bool silu = false;
  float* statistics = nullptr;  // [2, groups], or none: means, variances; written, or
  bool given = false;           // read in place of x's own
};
void group_norm(const Tensor& out, const Tensor& x, const GroupNormInputs& inputs, void* scratch,
                cudaStream_t stream);

}  // namespace zimage::cuda::kernels
