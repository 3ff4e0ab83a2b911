// Counting instead of computing.
#include "backend/plan/plan_backend.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace zimage {
namespace {

class CountAgain final : public Recording {
 public:
  explicit CountAgain(std::function<void()> enqueue) : enqueue_(std::move(enqueue)) {}
  void replay() override { enqueue_(); }

 private:
  std::function<void()> enqueue_;
};

double product(std::int64_t a, std::int64_t b, std::int64_t c) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

}  // namespace

std::unique_ptr<Recording> PlanBackend::record(std::function<void()> enqueue) {
  return std::make_unique<CountAgain>(std::move(enqueue));
}

void* PlanBackend::do_allocate(std::size_t /*bytes*/) {
  throw Error(ErrorCode::Unsupported, "the plan backend has no memory; use a measuring Arena");
}

void PlanBackend::do_free(void* /*data*/, std::size_t /*bytes*/) noexcept {}

Weight PlanBackend::do_load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) {
  return target_.do_load_matrix(slab, parts, role);
}

Weight PlanBackend::do_load_kernel(Arena& slab, const Tensor& kernel) { return target_.do_load_kernel(slab, kernel); }

Tensor PlanBackend::do_load_vector(Arena& slab, std::span<const Tensor> parts) {
  return target_.do_load_vector(slab, parts);
}

void PlanBackend::need_scratch(ScratchOp op, const Tensor& out, const Tensor& x, const Weight& weight) {
  ++cost_.operations;
  cost_.scratch = std::max(cost_.scratch, target_.scratch_bytes(op, out, x, weight));
}

void PlanBackend::do_linear(const Tensor& out, const Tensor& x, const Weight& weight, const LinearArgs& /*args*/) {
  need_scratch(ScratchOp::Linear, out, x, weight);
  cost_.matrix_flops += 2 * product(x.dim(0), weight.in, weight.out);
}

void PlanBackend::do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up) {
  need_scratch(ScratchOp::Swiglu, out, x, gate_up);
  cost_.matrix_flops += 2 * product(x.dim(0), gate_up.in, gate_up.out);
}

void PlanBackend::do_attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) {
  need_scratch(ScratchOp::Attention, out, qkv, {});
  const std::int64_t rows = qkv.dim(0);
  const double pairs = args.causal ? product(rows, rows + 1, 1) / 2 : product(rows, rows, 1);
  cost_.attention_flops += 4 * pairs * static_cast<double>(out.dim(1));
}

void PlanBackend::do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight, const ConvArgs& /*args*/) {
  need_scratch(ScratchOp::Conv2d, out, x, weight);
  cost_.conv_flops += 2 * product(out.elements(), weight.in, weight.kernel * weight.kernel);
}

void PlanBackend::do_group_norm(const Tensor& out, const Tensor& x, const Tensor& /*weight*/, const Tensor& /*bias*/,
                                const GroupNormArgs& /*args*/) {
  need_scratch(ScratchOp::GroupNorm, out, x, {});
}

}  // namespace zimage
