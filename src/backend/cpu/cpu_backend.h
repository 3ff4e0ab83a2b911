// The CPU backend: activations in f32, weights in memory as they were stored (bf16, f16 or f32),
// arithmetic in f32, on kernels chosen for the processor; with Encoding::Bf16 or Fast the matrices
// and what they multiply are rounded further. Results are the same bytes for the same request and
// choice of kernels, whatever the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "backend/cpu/isa.h"
#include "backend/cpu/kernel_choice.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/reference/reference_backend.h"

namespace zimage {

namespace cpu {

// Weight::layout: matrices in panels (kernels.h), kernels as conv3x3.h packs them. Matrices add a
// PanelFormat times kFormatUnit.
constexpr std::uint8_t kPanels = 1;
constexpr std::uint8_t kGateUpPanels = 2;
constexpr std::uint8_t kConv3x3 = 3;
constexpr std::uint8_t kFormatUnit = 16;

constexpr PanelFormat panel_format_of(DType dtype) {
  return dtype == DType::BF16  ? PanelFormat::Bf16
         : dtype == DType::F16 ? PanelFormat::F16
                               : PanelFormat::F32;
}
constexpr PanelFormat panel_format_of(const Weight& weight) {
  return static_cast<PanelFormat>(weight.layout / kFormatUnit);
}

// What Encoding::Fast means here: the integers that the processor multiplies fastest.
PanelFormat fast_format(const Kernels& kernels);

}  // namespace cpu

struct CpuOptions {
  int threads = 0;                // 0: every processor this process may use
  cpu::Isa isa = cpu::Isa::Best;  // Best: measured, by choose_kernels(); else forced
  std::optional<cpu::KernelChoice> kernels = {};  // in place of what `isa` means
  // Forces the integers of Encoding::Fast, and has Encoding::Bf16 without its instructions.
  std::optional<cpu::PanelFormat> fast = {};
};

class CpuBackend final : public ReferenceBackend {
 public:
  // Throws InvalidArgument for a negative number of threads, Unsupported for an instruction set
  // that the processor lacks.
  explicit CpuBackend(const CpuOptions& options = {});
  ~CpuBackend() override;

  std::string description() const override;
  int threads() const { return threads_; }
  // Those of the matrix products.
  const cpu::Kernels& kernels() const { return kernels_; }
  cpu::PanelFormat fast_format() const { return fast_; }  // of matrices with Encoding::Fast

  std::size_t scratch_bytes(ScratchOp op, const Tensor& out, const Tensor& x,
                            const Weight& weight) const override;
  void reserve_scratch(std::size_t bytes) override;
  Rates measure_rates() override;
  std::string weight_layout() const override;
  void set_encoding(Encoding encoding) override;

 protected:
  void* do_allocate(std::size_t bytes) override;
  void do_free(void* data, std::size_t bytes) noexcept override;
  Weight do_load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) override;
  Weight do_load_kernel(Arena& slab, const Tensor& kernel) override;
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
  void do_copy(const Tensor& out, const Tensor& x) override;
  void do_cast(const Tensor& out, const Tensor& x) override;
  void do_fill_rows(const Tensor& out, const Tensor& row) override;
  void do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                 const ConvArgs& args) override;
  void do_group_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const GroupNormArgs& args) override;

 private:
  // Grows the scratch when an operation runs that no plan announced.
  void need_scratch(std::size_t bytes);
  void warn_of_slow_bf16();
  cpu::PanelFormat format_of(MatrixRole role, DType stored) const;
  std::size_t product_scratch(std::int64_t rows, const Weight& weight) const;
  std::size_t attention_scratch(const Tensor& out) const;
  std::size_t group_norm_scratch(const Tensor& x) const;
  // Runs a product of all its rows and columns, cut over the threads.
  void multiply(cpu::GemmArgs args);
  void round_rows(const cpu::GemmArgs& args, std::size_t tiles, int threads);
  void conv1x1(const Tensor& out, const Tensor& x, const Weight& weight, const ConvArgs& args);

  int threads_;
  cpu::KernelChoice choice_;
  const cpu::Kernels& kernels_;  // of choice_.products
  const cpu::Kernels& attention_kernels_;
  const cpu::Kernels& conv_kernels_;
  const cpu::Kernels& row_kernels_;
  cpu::PanelFormat fast_;
  bool emulates_bf16_;
  bool knows_bf16_rate_ = false;  // warn_of_slow_bf16() has run: stages set their encoding anew
  Encoding encoding_ = Encoding::Plain;
  Encoding rounding_ = Encoding::Plain;  // the last encoding that rounds: not every stage has it
  std::byte* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0;
};

}  // namespace zimage
