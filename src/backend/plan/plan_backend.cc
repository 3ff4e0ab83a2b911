// Counting instead of computing.
#include "backend/plan/plan_backend.h"

#include <algorithm>
#include <utility>

#include "backend/flops.h"

namespace zimage {

Cost& Cost::operator+=(const Cost& next) {
  operations += next.operations;
  matrix_flops += next.matrix_flops;
  attention_flops += next.attention_flops;
  conv_flops += next.conv_flops;
  scratch = std::max(scratch, next.scratch);
  source = std::max(source, next.source);
  loading = std::max(loading, next.loading);
  return *this;
}

Cost Cost::times(std::int64_t count) const {
  Cost all = *this;
  all.operations *= count;
  all.matrix_flops *= static_cast<double>(count);
  all.attention_flops *= static_cast<double>(count);
  all.conv_flops *= static_cast<double>(count);
  return all;
}

namespace {

// Adds what was counted once.
class CountAgain final : public Recording {
 public:
  CountAgain(Cost& total, const Cost& recorded) : total_(total), recorded_(recorded) {}
  void replay() override { total_ += recorded_; }

 private:
  Cost& total_;
  Cost recorded_;
};

// What planned buffers point at; never read. Far from the addresses of measuring arenas.
void* const kNowhere =
    reinterpret_cast<void*>(std::uintptr_t{1} << 44);  // NOLINT(performance-no-int-to-ptr)

}  // namespace

std::unique_ptr<Recording> PlanBackend::record(std::function<void()> enqueue) {
  const Cost before = std::exchange(cost_, {});
  enqueue();
  const Cost recorded = std::exchange(cost_, before);
  return std::make_unique<CountAgain>(cost_, recorded);
}

void PlanBackend::repeat(std::int64_t count, const std::function<void(std::int64_t)>& work) {
  if (count < 1) return;
  const Cost before = std::exchange(cost_, {});
  work(0);
  const Cost once = std::exchange(cost_, before);
  cost_ += once.times(count);
}

void* PlanBackend::do_allocate(std::size_t bytes) {
  allocated_ += bytes;
  return kNowhere;
}

void PlanBackend::do_free(void* /*data*/, std::size_t bytes) noexcept {
  allocated_ -= bytes;
}

void PlanBackend::count_source(std::size_t bytes) {
  cost_.source = std::max(cost_.source, bytes);
  cost_.loading = std::max(cost_.loading, allocated_ + bytes);
}

// The target lays the weight out on a measuring slab, which copies nothing; `slab` may be memory
// that does not exist, so it must not be handed on.
Weight PlanBackend::do_load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) {
  Arena measure;
  Weight weight = target_.do_load_matrix(measure, parts, role);
  weight.data = slab.allocate(measure.used());
  return weight;
}

Weight PlanBackend::do_load_kernel(Arena& slab, const Tensor& kernel) {
  Arena measure;
  Weight weight = target_.do_load_kernel(measure, kernel);
  weight.data = slab.allocate(measure.used());
  return weight;
}

Tensor PlanBackend::do_load_vector(Arena& slab, std::span<const Tensor> parts) {
  Arena measure;
  Tensor vector = target_.do_load_vector(measure, parts);
  vector.data = slab.allocate(measure.used());
  return vector;
}

void PlanBackend::need_scratch(ScratchOp op, const Tensor& out, const Tensor& x,
                               const Weight& weight) {
  ++cost_.operations;
  cost_.scratch = std::max(cost_.scratch, target_.scratch_bytes(op, out, x, weight));
}

void PlanBackend::do_linear(const Tensor& out, const Tensor& x, const Weight& weight,
                            const LinearArgs& /*args*/) {
  need_scratch(ScratchOp::Linear, out, x, weight);
  cost_.matrix_flops += matrix_flops(x, weight);
}

void PlanBackend::do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up,
                            const SwigluArgs& /*args*/) {
  need_scratch(ScratchOp::Swiglu, out, x, gate_up);
  cost_.matrix_flops += matrix_flops(x, gate_up);
}

void PlanBackend::do_attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) {
  need_scratch(ScratchOp::Attention, out, qkv, {});
  cost_.attention_flops += attention_flops(out, args);
}

void PlanBackend::do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                            const ConvArgs& /*args*/) {
  need_scratch(ScratchOp::Conv2d, out, x, weight);
  cost_.conv_flops += conv_flops(out, weight);
}

void PlanBackend::do_group_norm(const Tensor& out, const Tensor& x, const Tensor& /*weight*/,
                                const Tensor& /*bias*/, const GroupNormArgs& /*args*/) {
  need_scratch(ScratchOp::GroupNorm, out, x, {});
}

}  // namespace zimage
