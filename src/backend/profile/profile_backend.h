// Times every operation of another backend by waiting for it. What enters is the backend that does
// the work; what leaves is a table by kind of operation. Waiting hides overlap, so the sum is more
// than an unprofiled run takes.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "backend/backend.h"

namespace zimage {

// All calls of one kind of operation.
struct OpTotal {
  std::int64_t calls = 0;
  double seconds = 0;
  double flops = 0;  // 0 for operations that only move numbers
};

class ProfileBackend final : public Backend {
 public:
  // `target` must outlive this.
  explicit ProfileBackend(Backend& target) : target_(target) {}

  // By name: "linear", "swiglu", "attention", "conv2d 3x3", ...
  const std::map<std::string, OpTotal>& totals() const { return totals_; }
  void reset() { totals_.clear(); }

  std::string description() const override { return target_.description(); }
  DType activation_dtype() const override { return target_.activation_dtype(); }
  MemoryKind memory_kind() const override { return target_.memory_kind(); }
  void synchronize() override { target_.synchronize(); }
  std::size_t scratch_bytes(ScratchOp op, const Tensor& out, const Tensor& x,
                            const Weight& weight) const override {
    return target_.scratch_bytes(op, out, x, weight);
  }
  void reserve_scratch(std::size_t bytes) override { target_.reserve_scratch(bytes); }
  void set_encoding(Encoding encoding) override { target_.set_encoding(encoding); }
  std::size_t available_memory() const override { return target_.available_memory(); }
  std::size_t memory_in_use() const override { return target_.memory_in_use(); }
  Rates measure_rates() override { return target_.measure_rates(); }
  // Runs eagerly: what is captured cannot be timed one by one.
  std::unique_ptr<Recording> record(std::function<void()> enqueue) override;

 private:
  void* do_allocate(std::size_t bytes) override { return target_.do_allocate(bytes); }
  void do_free(void* data, std::size_t bytes) noexcept override { target_.do_free(data, bytes); }
  void do_upload(const Tensor& out, const void* source) override { target_.do_upload(out, source); }
  void do_download(void* target, const Tensor& x) override { target_.do_download(target, x); }
  void do_copy(const Tensor& out, const Tensor& x) override;
  Weight do_load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) override {
    return target_.do_load_matrix(slab, parts, role);
  }
  Weight do_load_kernel(Arena& slab, const Tensor& kernel) override {
    return target_.do_load_kernel(slab, kernel);
  }
  Tensor do_load_vector(Arena& slab, std::span<const Tensor> parts) override {
    return target_.do_load_vector(slab, parts);
  }
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

  template <typename Op>
  void timed(const std::string& name, double flops, Op op);

  Backend& target_;
  std::map<std::string, OpTotal> totals_;
};

}  // namespace zimage
