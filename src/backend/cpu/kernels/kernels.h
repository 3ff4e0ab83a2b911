// The CPU kernels as a table of functions, one table for each instruction set in the program. What
// enters: raw pointers and extents; what leaves: numbers in the caller's memory. A kernel runs on
// the calling thread; the backend splits the work by outputs, so results do not depend on the
// split.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cpu/kernels/conv3x3_kernels.h"

namespace zimage::cpu {

// How the numbers of a weight are held in memory: as they were stored, or rounded for products of
// words, which dot() kernels compute.
enum class PanelFormat : std::uint8_t { Bf16, F16, F32, Int16, Int8, Bf16Pairs };

constexpr bool is_dot(PanelFormat format) {
  return format >= PanelFormat::Int16;
}
// Bytes of one number.
constexpr std::size_t size_of(PanelFormat format) {
  return format == PanelFormat::F32 ? 4 : format == PanelFormat::Int8 ? 1 : 2;
}

// Inputs of one output that share a scale in Int16 and Int8, in weights and activations alike: an
// outlier costs no more than its own block its precision. Sums of a block are exact in int32, and
// blocks are added in f32. Eight bits need the shorter blocks: their largest number is smaller.
constexpr std::size_t dot_block(PanelFormat format) {
  return format == PanelFormat::Int8 ? 256 : 512;
}
constexpr std::size_t kMostDotBlock = dot_block(PanelFormat::Int16);

// A weight [out, in] is cut into panels of 2 lanes rows, the last one filled up with zeros. A
// GateUp panel holds lanes rows of gate, then the same rows of up.
//
// Bf16, F16, F32: a panel is [in][2 lanes], for each input the numbers of all its rows. In bf16 the
// rows j and j + lanes share a 32-bit word, lower half first, so that one load and two shifts give
// two vectors of floats.
// Int16, Int8, Bf16Pairs: [words][2 lanes] 32-bit words, each the numbers of 2 or 4 (Int8)
// consecutive inputs of a row, the last ones filled up with zeros. Then, but for Bf16Pairs, the
// scales [blocks][2 lanes] f32; then, for Int8, what a sum over a block starts with [blocks][2
// lanes] int32: -128 times the sum of its weights, because activations are stored as numbers + 128.
constexpr std::size_t panel_bytes(PanelFormat format, std::size_t lanes, std::size_t depth) {
  if (!is_dot(format)) return depth * 2 * lanes * size_of(format);
  const std::size_t in_word = 4 / size_of(format);
  const std::size_t blocks = (depth + dot_block(format) - 1) / dot_block(format);
  const std::size_t vectors = format == PanelFormat::Int8    ? 2
                              : format == PanelFormat::Int16 ? 1
                                                             : 0;
  return 2 * lanes * 4 * ((depth + in_word - 1) / in_word + vectors * blocks);
}

// What pack_panel reads: 2 lanes pointers to `depth` numbers, null for a row of zeros.
struct PackPanelArgs {
  void* panel = nullptr;
  const void* const* rows = nullptr;
  std::size_t depth = 0;
  PanelFormat format = PanelFormat::F32;  // of the panel
  PanelFormat source = PanelFormat::F32;  // of the rows; the panel's, but for the dot formats
};

// How a product is cut so that its pieces stay in the caches. The order of additions depends on
// `depth`.
struct GemmBlocks {
  std::size_t rows;         // of the left operand: rows x depth floats stay in the second cache
  std::size_t panels;       // rows x panels x 2 lanes partial sums stay in the second cache
  std::size_t bf16_depth;   // of a panel that stays in the first cache, by its format
  std::size_t other_depth;  // f16 and f32
};

// out[t][n] = sum over k of a[t][k] weight[n][k] for a rectangle of tiles and panels. The rows are
// spread evenly over ceil(rows / tile_rows) tiles, whatever part of them one call computes.
struct GemmArgs {
  const float* a = nullptr;  // [rows][depth], rows a_stride apart
  std::size_t a_stride = 0;
  std::size_t rows = 0;
  const void* panels = nullptr;
  PanelFormat format = PanelFormat::F32;
  std::size_t depth = 0;
  std::size_t tile_begin = 0, tile_end = 0;
  std::size_t panel_begin = 0, panel_end = 0;
  float* out = nullptr;  // [rows][columns], rows out_stride apart
  std::size_t out_stride = 0;
  std::size_t columns = 0;
  bool gate_up = false;         // out = silu(gate) up, lanes columns a panel
  const float* bias = nullptr;  // [columns] or null
  bool silu = false;            // after the bias
  bool accumulate = false;      // out += the result
  // Widen a bf16 panel once for many tiles instead of in every tile, with the same result.
  bool widen = false;
  float* scratch = nullptr;  // gemm_scratch() bytes
  // Of dot formats: whether round() has left the rows of the whole product in `rounded`
  // (rounded_bytes() bytes), or gemm() rounds its own.
  bool rounded_before = false;
  std::uint32_t* rounded = nullptr;
};

// Attention of panels of queries over the keys of one key head. The rows of each of the `heads`
// query heads that read it are cut into panels of 2 lanes, the last one short; panels are numbered
// through head after head. Rows of q, k, v are `stride` apart, heads in a row head_dim; query i
// sees keys 0..i when causal.
struct HeadArgs {
  const float* q = nullptr;  // of the first of the heads
  const float* k = nullptr;
  const float* v = nullptr;
  std::size_t stride = 0;
  float* out = nullptr;  // of the first of the heads
  std::size_t out_stride = 0;
  std::size_t head_dim = 0;
  std::size_t rows = 0;
  std::size_t panel_begin = 0, panel_end = 0;
  float scale = 0;
  bool causal = false;
  float* scratch = nullptr;  // attention_scratch() bytes
};

// Rows [rows][dim]; the meaning is that of Backend's rms_norm and layer_norm.
struct NormRowsArgs {
  float* out = nullptr;
  const float* x = nullptr;
  const float* weight = nullptr;
  const float* scale = nullptr;  // or null
  std::size_t rows = 0, dim = 0;
  float eps = 0;
};

// x += tanh(gate) rms_norm(y) weight.
struct GatedRowsArgs {
  float* x = nullptr;
  const float* y = nullptr;
  const float* weight = nullptr;
  const float* gate = nullptr;  // or null for a factor of 1
  std::size_t rows = 0, dim = 0;
  float eps = 0;
};

// Rows `stride` apart, cos_sin [rows][head_dim].
struct RopeRowsArgs {
  float* qkv = nullptr;
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  const float* cos_sin = nullptr;
  std::size_t rows = 0, stride = 0, heads = 0, kv_heads = 0, head_dim = 0;
  float eps = 0;
  bool interleaved = false;
};

// Mean and sum of squared deviations from it of each group over x [pixels][channels].
struct GroupStatsArgs {
  const float* x = nullptr;
  std::size_t pixels = 0, channels = 0, groups = 0;
  double* mean = nullptr;     // [groups]
  double* squares = nullptr;  // [groups]
  float* scratch = nullptr;   // [2 channels]
};

// out = (x - mean) factor + bias over [pixels][channels], then SiLU if asked for.
struct GroupApplyArgs {
  float* out = nullptr;
  const float* x = nullptr;
  const float* mean = nullptr;    // [channels]
  const float* factor = nullptr;  // [channels]
  const float* bias = nullptr;    // [channels]
  std::size_t pixels = 0, channels = 0;
  bool silu = false;
};

// Products of words: a dot format's panels and activations rounded likewise.
struct DotKernels {
  bool has_int8;          // instructions that multiply four bytes at once
  bool has_bf16;          // instructions that multiply two bf16 numbers at once
  std::size_t tile_rows;  // of GemmArgs; Kernels::tile_rows counts for the other formats alone
  // Rounds the rows of the tiles [tile_begin, tile_end) to args.rounded, which gemm() reads.
  void (*round)(const GemmArgs& args);
  std::size_t (*rounded_bytes)(const GemmArgs& args);  // of all rows
  void (*gemm)(const GemmArgs& args);
  std::size_t (*gemm_scratch)(const GemmArgs& args);
  // Like Kernels::fma_burst, for the products of a dot format.
  double (*burst)(PanelFormat format, std::size_t steps, float* sink);
};

struct Kernels {
  const char* name;       // "AVX-512", "AVX2", "portable"
  std::size_t lanes;      // floats in a vector
  std::size_t tile_rows;  // rows of the left operand that a register tile holds

  void (*pack_panel)(const PackPanelArgs& args);
  void (*gemm)(const GemmArgs& args);
  // Bytes of scratch that gemm() uses for these extents.
  std::size_t (*gemm_scratch)(const GemmArgs& args);
  DotKernels dot;

  void (*attention)(const HeadArgs& args);
  // Bytes of scratch for that many panels of queries.
  std::size_t (*attention_scratch)(std::size_t head_dim, std::size_t panels);

  void (*rms_norm)(const NormRowsArgs& args);
  void (*layer_norm)(const NormRowsArgs& args);
  void (*add_gated_rms_norm)(const GatedRowsArgs& args);
  void (*qk_norm_rope)(const RopeRowsArgs& args);
  void (*silu)(float* x, std::size_t size);                                      // in place
  void (*add_scaled)(float* x, const float* y, float factor, std::size_t size);  // x += factor y
  void (*group_stats)(const GroupStatsArgs& args);
  void (*group_apply)(const GroupApplyArgs& args);
  ConvKernels conv3x3;

  // Runs `steps` rounds of independent multiply-adds in registers and returns their count times
  // two.
  double (*fma_burst)(std::size_t steps, float* sink);
  // The sum of n floats, read once.
  float (*read_sum)(const float* x, std::size_t n);
};

// One of each kernels/<isa>.cc. The first two exist on x86-64 only.
const Kernels& avx512_kernels();
const Kernels& avx2_kernels();
const Kernels& portable_kernels();
// For the AVX-512 kernels, where the processor has VNNI, or VNNI and BF16, or AMX as well.
const DotKernels& avx512_vnni_kernels();
const DotKernels& avx512_bf16_kernels();
const DotKernels& avx512_amx_kernels();

}  // namespace zimage::cpu
