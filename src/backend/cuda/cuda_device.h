// One device as the backend uses it: its stream, its memory, its matrix products. The class behind
// make_cuda_backend().
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "backend/backend.h"
#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/matmul.h"
#include "backend/cuda/upload.h"

namespace zimage::cuda {

class CudaBackend final : public Backend {
 public:
  CudaBackend(int device, const CudaOptions& options);
  ~CudaBackend() override;

  std::string description() const override { return description_; }
  DType activation_dtype() const override { return options_.activations; }
  MemoryKind memory_kind() const override { return MemoryKind::Device; }
  std::size_t available_memory() const override;
  // Of the context an estimate; of other processes nothing.
  std::size_t memory_in_use() const override;
  std::unique_ptr<HostSlabs> make_host_slabs() override;
  void synchronize() override;
  std::size_t scratch_bytes(ScratchOp op, const Tensor& out, const Tensor& x,
                            const Weight& weight) const override;
  void reserve_scratch(std::size_t bytes) override;
  void set_encoding(Encoding encoding) override;
  // A product of 8192 x 8192 matrices, copies between buffers of 128 MiB (bytes read and written),
  // and copies of as many page-locked bytes.
  Rates measure_rates() override;
  std::unique_ptr<Recording> record(std::function<void()> enqueue) override;

  // For classes that enqueue beside the operations.
  int device() const { return device_; }
  // The stream, with this device made the calling thread's.
  cudaStream_t queue() const;
  // The same at the start of whatever is enqueued: what is held back comes first, and what the
  // operation before left for the next is not used again.
  cudaStream_t start();

 private:
  void* do_allocate(std::size_t bytes) override;
  void do_free(void* data, std::size_t bytes) noexcept override;
  void do_upload(const Tensor& out, const void* source) override;
  void do_download(void* target, const Tensor& x) override;
  void do_copy(const Tensor& out, const Tensor& x) override;
  Weight do_load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) override;
  Weight do_load_kernel(Arena& slab, const Tensor& kernel) override;
  Tensor do_load_vector(Arena& slab, std::span<const Tensor> parts) override;
  void do_linear(const Tensor& out, const Tensor& x, const Weight& weight,
                 const LinearArgs& args) override;
  void do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up,
                 const SwigluArgs& args) override;
  void do_rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                   const NormArgs& args) override;
  void do_layer_norm(const Tensor& out, const Tensor& x, const NormArgs& args) override;
  void do_add_gated_rms_norm(const Tensor& x, const Tensor& y, const Tensor& weight,
                             const GatedNormArgs& args) override;
  void do_qk_norm_rope(const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
                       const RopeArgs& args) override;
  void do_attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) override;
  void do_silu(const Tensor& x) override;
  void do_add_scaled(const Tensor& x, const Tensor& y, float factor) override;
  void do_blend(const Tensor& x, const Tensor& y, const Tensor& mask) override;
  void do_cast(const Tensor& out, const Tensor& x) override;
  void do_fill_rows(const Tensor& out, const Tensor& row) override;
  void do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                 const ConvArgs& args) override;
  void do_group_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const GroupNormArgs& args) override;

  // x as an e4m3 operand, left by the operation just before.
  struct Quantized {
    Tensor x;
    kernels::Fp8Matrix operand;
  };
  // A product, and what lies ready for it. Held back it is one pass with a qk_norm_rope of its out
  // right after it.
  struct Product {
    Tensor out;
    Tensor x;
    Weight weight;
    std::optional<Quantized> quantized;
  };
  // An add_gated_rms_norm. Held back it is one pass with an rms_norm of the same x right after it.
  struct GatedNorm {
    Tensor x;
    Tensor y;
    kernels::NormInputs inputs;
  };

  // Enqueues what is held back, if anything.
  void flush();
  // At least `bytes` of scratch, grown outside recordings where reserve_scratch() asked for less.
  std::byte* scratch(std::size_t bytes);
  // Host numbers in pieces of whole rows; `place` enqueues what becomes of rows [first, first +
  // rows(piece)).
  void upload_rows(const Tensor& source,
                   const std::function<void(const Tensor& piece, std::int64_t first)>& place);
  // x in the weights' type: itself, or converted into scratch at `target`.
  Tensor as_operand(const Tensor& x, std::byte* target);
  // Whether a matrix [out, in] of this size is to be stored as e4m3.
  bool takes_fp8(std::int64_t out, std::int64_t in) const;
  // out's own memory as an e4m3 matrix for the product that out feeds; empty where it wants
  // numbers.
  kernels::Fp8Matrix fp8_in_place(const Tensor& out, const Weight* feeds) const;
  // With an e4m3 matrix.
  void multiply_fp8(const Product& product, const kernels::GemmArgs& args);
  void enqueue_linear(const Product& product, const LinearArgs& args);
  // The product and qk_norm_rope of it.
  void turn_product(const Product& product, const kernels::RopeInputs& inputs);
  std::size_t linear_scratch(const Tensor& out, const Tensor& x, const Weight& weight) const;
  std::size_t swiglu_scratch(const Tensor& out, const Tensor& x, const Weight& gate_up) const;
  void multiply(const Tensor& out, const Tensor& x, const Weight& weight, kernels::RowMode mode);
  // Puts bias rows into out, or adds them; returns how a product is to follow.
  kernels::RowMode begin_sums(const Tensor& out, const Tensor& bias, kernels::RowMode mode);
  bool fused_swiglu(const Tensor& out, const Tensor& x) const;
  bool fused_linear(const Tensor& out, const Tensor& x) const;
  // Whether a product of this size keeps every processor busy with tiles of our own kernel.
  bool fills_tiles(std::int64_t rows, std::int64_t columns) const;
  // Of one segment.
  void attention_in_chunks(const Tensor& out, const Tensor& qkv, const AttentionArgs& args);
  bool direct_conv(const Tensor& out, const Tensor& x) const;
  void conv_upsampling(const Tensor& out, const Tensor& x, const Weight& weight,
                       const ConvArgs& args);
  void conv_by_patches(const Tensor& out, const Tensor& x, const Weight& weight,
                       const ConvArgs& args);

  int device_;
  CudaOptions options_;
  bool hopper_ = false;
  bool fp8_ = false;  // whether the device has products of e4m3 rows
  Encoding encoding_ = Encoding::Plain;
  int processors_ = 0;
  std::string description_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<Matmul> matmul_;
  std::unique_ptr<Uploader> uploader_;
  unsigned* counters_ = nullptr;  // of attention's parts; zero between launches
  kernels::GemmMemory gemm_memory_;
  unsigned* greatest_value_ = nullptr;  // bits of the greatest magnitude of v in bounded_
  std::variant<std::monostate, Product, GatedNorm> held_back_;
  // These two of the operation just before; absent for nothing.
  std::optional<Quantized> quantized_;
  Tensor bounded_;  // qkv
  void* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0;
  std::size_t allocated_ = 0;  // bytes of everything from do_allocate()
  bool free_failed_ = false;
};

}  // namespace zimage::cuda
