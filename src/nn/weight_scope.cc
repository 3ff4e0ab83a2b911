// Names to loaded weights.
#include "nn/weight_scope.h"

#include <vector>

namespace zimage {

WeightScope WeightScope::operator[](std::string_view child) const {
  WeightScope scope = *this;
  scope.prefix_ += std::string(child) + ".";
  return scope;
}

Tensor WeightScope::host(std::string_view name, const Shape& shape) const {
  return source_->tensor(prefix_ + std::string(name), shape);
}

// A measuring slab has read nothing.
void WeightScope::evict(std::span<const Tensor> parts) const {
  if (slab_->measuring()) return;
  for (const Tensor& part : parts) source_->evict(part);
}

Weight WeightScope::stack(std::span<const Tensor> parts) const {
  const Weight weight = backend_->load_matrix(*slab_, parts, MatrixRole::Linear);
  evict(parts);
  return weight;
}

Tensor WeightScope::concatenate(std::span<const Tensor> parts) const {
  const Tensor vector = backend_->load_vector(*slab_, parts);
  evict(parts);
  return vector;
}

Tensor WeightScope::vector(std::string_view name, std::int64_t n) const {
  const Tensor part = host(name, {n});
  return concatenate({&part, 1});
}

Tensor WeightScope::row(std::string_view name, std::int64_t n) const {
  const Tensor part = host(name, {1, n});
  return concatenate({&part, 1});
}

Weight WeightScope::matrix(std::string_view name, std::int64_t out, std::int64_t in) const {
  return matrix({{name, out}}, in);
}

Weight WeightScope::matrix(std::initializer_list<Rows> parts, std::int64_t in) const {
  std::vector<Tensor> tensors;
  for (const Rows& part : parts) tensors.push_back(host(part.name, {part.out, in}));
  return stack(tensors);
}

Weight WeightScope::gate_up(std::string_view gate, std::string_view up, std::int64_t features,
                            std::int64_t in) const {
  const Tensor parts[] = {host(gate, {features, in}), host(up, {features, in})};
  const Weight weight = backend_->load_matrix(*slab_, parts, MatrixRole::GateUp);
  evict(parts);
  return weight;
}

Weight WeightScope::kernel(std::string_view name, std::int64_t out, std::int64_t in,
                           std::int64_t side) const {
  const Tensor part = host(name, {out, in, side, side});
  const Weight weight = backend_->load_kernel(*slab_, part);
  evict({&part, 1});
  return weight;
}

}  // namespace zimage
