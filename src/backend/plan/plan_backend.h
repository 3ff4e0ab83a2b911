// Runs a model without computing: counts operations, FLOPs and the largest scratch, while a
// measuring Arena beside it counts the activations. What enters is the backend that will do the
// work; its types and layouts are asked for, its memory is not touched.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"

namespace zimage {

// What a run costs.
struct Cost {
  std::int64_t operations = 0;
  double matrix_flops = 0;     // linear and swiglu; a multiply-add is two
  double attention_flops = 0;  // both products of every visible pair
  double conv_flops = 0;       // of the direct algorithm
  std::size_t scratch = 0;     // the largest scratch_bytes() asked for
  std::size_t source = 0;      // the most bytes of host memory that one load reads
  std::size_t loading = 0;     // the most of these and of all buffers that live by then

  double flops() const { return matrix_flops + attention_flops + conv_flops; }
  // What both cost, one after the other.
  Cost& operator+=(const Cost& next);
  // What it costs `count` times.
  Cost times(std::int64_t count) const;
};

class PlanBackend final : public Backend {
 public:
  // `target` must outlive this.
  explicit PlanBackend(Backend& target) : target_(target) {}

  const Cost& cost() const { return cost_; }
  void reset_cost() { cost_ = {}; }
  // Bytes of all buffers that live: the weights of the models made on this backend.
  std::size_t allocated() const { return allocated_; }

  std::string description() const override { return "plan of " + target_.description(); }
  DType activation_dtype() const override { return target_.activation_dtype(); }
  MemoryKind memory_kind() const override { return target_.memory_kind(); }
  std::size_t available_memory() const override { return target_.available_memory(); }
  std::size_t memory_in_use() const override { return target_.memory_in_use(); }
  void synchronize() override {}
  bool computes() const override { return false; }
  void count_source(std::size_t bytes) override;
  void set_encoding(Encoding encoding) override { target_.set_encoding(encoding); }
  std::unique_ptr<Recording> record(std::function<void()> enqueue) override;
  void repeat(std::int64_t count, const std::function<void(std::int64_t)>& work) override;

 private:
  void* do_allocate(std::size_t bytes) override;
  void do_free(void* data, std::size_t bytes) noexcept override;
  void do_upload(const Tensor& /*out*/, const void* /*source*/) override {}
  void do_download(void* /*target*/, const Tensor& /*x*/) override {}
  void do_copy(const Tensor& /*out*/, const Tensor& /*x*/) override { ++cost_.operations; }
  Weight do_load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) override;
  Weight do_load_kernel(Arena& slab, const Tensor& kernel) override;
  Tensor do_load_vector(Arena& slab, std::span<const Tensor> parts) override;
  void do_linear(const Tensor& out, const Tensor& x, const Weight& weight,
                 const LinearArgs& args) override;
  void do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up,
                 const SwigluArgs& args) override;
  void do_rms_norm(const Tensor&, const Tensor&, const Tensor&, const NormArgs&) override {
    ++cost_.operations;
  }
  void do_layer_norm(const Tensor&, const Tensor&, const NormArgs&) override { ++cost_.operations; }
  void do_add_gated_rms_norm(const Tensor&, const Tensor&, const Tensor&,
                             const GatedNormArgs&) override {
    ++cost_.operations;
  }
  void do_qk_norm_rope(const Tensor&, const Tensor&, const Tensor&, const RopeArgs&) override {
    ++cost_.operations;
  }
  void do_attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) override;
  void do_silu(const Tensor&) override { ++cost_.operations; }
  void do_add_scaled(const Tensor&, const Tensor&, float) override { ++cost_.operations; }
  void do_blend(const Tensor&, const Tensor&, const Tensor&) override { ++cost_.operations; }
  void do_cast(const Tensor&, const Tensor&) override { ++cost_.operations; }
  void do_fill_rows(const Tensor&, const Tensor&) override { ++cost_.operations; }
  void do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                 const ConvArgs& args) override;
  void do_group_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const GroupNormArgs& args) override;

  void need_scratch(ScratchOp op, const Tensor& out, const Tensor& x, const Weight& weight);

  Backend& target_;
  Cost cost_;
  std::size_t allocated_ = 0;
};

}  // namespace zimage
