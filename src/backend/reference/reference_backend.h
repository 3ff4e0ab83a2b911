// Every operation as the plainest loop over host memory: f32 values, sums in double. The oracle of
// the conformance suite, and what the CPU backend inherits where it has nothing faster.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"

namespace zimage {

class ReferenceBackend : public Backend {
 public:
  std::string description() const override { return "reference: plain loops, 1 thread"; }
  DType activation_dtype() const override { return DType::F32; }
  MemoryKind memory_kind() const override { return MemoryKind::Host; }
  // What the system has free; no container limit is looked at.
  std::size_t available_memory() const override;
  std::size_t memory_in_use() const override;
  void synchronize() override {}
  std::unique_ptr<Recording> record(std::function<void()> enqueue) override;

 protected:
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
  void do_cast(const Tensor& out, const Tensor& x) override;
  void do_fill_rows(const Tensor& out, const Tensor& row) override;
  void do_blend(const Tensor& x, const Tensor& y, const Tensor& mask) override;
  void do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                 const ConvArgs& args) override;
  void do_group_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const GroupNormArgs& args) override;
};

}  // namespace zimage
