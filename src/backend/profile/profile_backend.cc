// Forwarding with a clock.
#include "backend/profile/profile_backend.h"

#include <chrono>
#include <utility>

#include "backend/flops.h"

namespace zimage {
namespace {

class CallAgain final : public Recording {
 public:
  explicit CallAgain(std::function<void()> enqueue) : enqueue_(std::move(enqueue)) {}
  void replay() override { enqueue_(); }

 private:
  std::function<void()> enqueue_;
};

}  // namespace

std::unique_ptr<Recording> ProfileBackend::record(std::function<void()> enqueue) {
  return std::make_unique<CallAgain>(std::move(enqueue));
}

template <typename Op>
void ProfileBackend::timed(const std::string& name, double flops, Op op) {
  target_.synchronize();
  const auto start = std::chrono::steady_clock::now();
  op();
  target_.synchronize();
  OpTotal& total = totals_[name];
  ++total.calls;
  total.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  total.flops += flops;
}

void ProfileBackend::do_copy(const Tensor& out, const Tensor& x) {
  timed("copy", 0, [&] { target_.do_copy(out, x); });
}

void ProfileBackend::do_linear(const Tensor& out, const Tensor& x, const Weight& weight,
                               const LinearArgs& args) {
  timed("linear", matrix_flops(x, weight), [&] { target_.do_linear(out, x, weight, args); });
}

void ProfileBackend::do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up,
                               const SwigluArgs& args) {
  timed("swiglu", matrix_flops(x, gate_up), [&] { target_.do_swiglu(out, x, gate_up, args); });
}

void ProfileBackend::do_rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                                 const NormArgs& args) {
  timed("rms_norm", 0, [&] { target_.do_rms_norm(out, x, weight, args); });
}

void ProfileBackend::do_layer_norm(const Tensor& out, const Tensor& x, const NormArgs& args) {
  timed("layer_norm", 0, [&] { target_.do_layer_norm(out, x, args); });
}

void ProfileBackend::do_add_gated_rms_norm(const Tensor& x, const Tensor& y, const Tensor& weight,
                                           const GatedNormArgs& args) {
  timed("add_gated_rms_norm", 0, [&] { target_.do_add_gated_rms_norm(x, y, weight, args); });
}

void ProfileBackend::do_qk_norm_rope(const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
                                     const RopeArgs& args) {
  timed("qk_norm_rope", 0, [&] { target_.do_qk_norm_rope(qkv, q_norm, k_norm, args); });
}

void ProfileBackend::do_attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) {
  timed("attention", attention_flops(out, args), [&] { target_.do_attention(out, qkv, args); });
}

void ProfileBackend::do_silu(const Tensor& x) {
  timed("silu", 0, [&] { target_.do_silu(x); });
}

void ProfileBackend::do_add_scaled(const Tensor& x, const Tensor& y, float factor) {
  timed("add_scaled", 0, [&] { target_.do_add_scaled(x, y, factor); });
}

void ProfileBackend::do_blend(const Tensor& x, const Tensor& y, const Tensor& mask) {
  timed("blend", 0, [&] { target_.do_blend(x, y, mask); });
}

void ProfileBackend::do_cast(const Tensor& out, const Tensor& x) {
  timed("cast", 0, [&] { target_.do_cast(out, x); });
}

void ProfileBackend::do_fill_rows(const Tensor& out, const Tensor& row) {
  timed("fill_rows", 0, [&] { target_.do_fill_rows(out, row); });
}

void ProfileBackend::do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                               const ConvArgs& args) {
  const std::string side = std::to_string(weight.kernel);
  timed("conv2d " + side + "x" + side, conv_flops(out, weight),
        [&] { target_.do_conv2d(out, x, weight, args); });
}

void ProfileBackend::do_group_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                                   const Tensor& bias, const GroupNormArgs& args) {
  timed("group_norm", 0, [&] { target_.do_group_norm(out, x, weight, bias, args); });
}

}  // namespace zimage
