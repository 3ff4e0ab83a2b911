// One device as the backend uses it: its stream, its memory, its matrix products. The class behind
// make_cuda_backend().
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <optional>
#include <set>
#include <string>

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
  // The same at the start of whatever is enqueued: what is held back comes first, and what rms_norm
  // left in scratch is not used again.
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
  void do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up) override;
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
  void do_cast(const Tensor& out, const Tensor& x) override;
  void do_fill_rows(const Tensor& out, const Tensor& row) override;
  void do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                 const ConvArgs& args) override;
  void do_group_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const GroupNormArgs& args) override;

  // Enqueues the add_gated_rms_norm that is held back, if any.
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
  // out = product with an e4m3 matrix, or swiglu of it. `quantized` is what lies in scratch as
  // e4m3.
  void multiply_fp8(const Tensor& out, const Tensor& x, const Weight& weight,
                    const kernels::GemmArgs& args, const Tensor& quantized);
  // Where rms_norm may leave x as e4m3 for the product that follows; empty where no product takes
  // it.
  kernels::Fp8Matrix copy_for(const Tensor& x);
  void multiply(const Tensor& out, const Tensor& x, const Weight& weight, kernels::RowMode mode);
  // Puts bias rows into out, or adds them; returns how a product is to follow.
  kernels::RowMode begin_sums(const Tensor& out, const Tensor& bias, kernels::RowMode mode);
  bool fused_swiglu(const Tensor& out, const Tensor& x) const;
  bool fused_linear(const Tensor& out, const Tensor& x) const;
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
  std::set<std::int64_t> fp8_depths_;  // columns of the e4m3 matrices loaded
  int processors_ = 0;
  std::string description_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<Matmul> matmul_;
  std::unique_ptr<Uploader> uploader_;
  unsigned* counters_ = nullptr;  // of attention's parts; zero between launches
  // An add_gated_rms_norm not yet enqueued: with an rms_norm of the same x right after it, it is
  // one pass.
  struct HeldBack {
    Tensor x;
    Tensor y;
    kernels::NormInputs inputs;
  };
  std::optional<HeldBack> held_back_;
  // What the operation just before left as e4m3 at the start of scratch; absent for nothing.
  Tensor quantized_;
  void* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0;
  std::size_t allocated_ = 0;  // bytes of everything from do_allocate()
  bool free_failed_ = false;
};

}  // namespace zimage::cuda
