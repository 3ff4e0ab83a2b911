// Names to loaded weights.
#include "nn/weight_scope.h"

#include <vector>

#include "nn/widen.h"

namespace zimage {

WeightScope WeightScope::operator[](std::string_view child) const {
  WeightScope scope = *this;
  scope.prefix_ += std::string(child) + ".";
  return scope;
}

HostTensor WeightScope::host(std::string_view name, const Shape& shape) const {
  return source_->tensor(prefix_ + std::string(name), shape);
}

template <typename Load>
auto WeightScope::load_plain(std::span<const HostTensor> parts, WideNumbers wide, Load load) const {
  if (state_ == SlabState::Filled) {
    Arena measure;
    const WidenedTensors plain(parts, *backend_, measure, wide);
    auto loaded = load(measure, plain.tensors());
    loaded.data = slab_->allocate(measure.used());
    return loaded;
  }
  const WidenedTensors plain(parts, *backend_, *slab_, wide);
  std::size_t bytes = plain.converted_bytes();
  for (const HostTensor& part : parts) bytes += part.bytes();
  backend_->count_source(bytes);
  auto loaded = load(*slab_, plain.tensors());
  plain.wait_for(*backend_);
  source_->count_rounded(plain.rounded());
  if (!slab_->measuring()) {  // else nothing was read
    for (const HostTensor& part : parts) source_->evict(part.numbers());
  }
  return loaded;
}

WeightScope WeightScope::plain() const {
  WeightScope scope = *this;
  scope.linear_ = MatrixRole::Plain;
  return scope;
}

Weight WeightScope::load_matrix(std::span<const HostTensor> parts, MatrixRole role) const {
  return load_plain(parts, source_->wide_numbers(),
                    [&](Arena& slab, std::span<const Tensor> plain) {
                      return backend_->load_matrix(slab, plain, role);
                    });
}

Weight WeightScope::stack(std::span<const HostTensor> parts) const {
  return load_matrix(parts, linear_);
}

Tensor WeightScope::concatenate(std::span<const HostTensor> parts) const {
  return load_plain(parts, WideNumbers::Kept, [&](Arena& slab, std::span<const Tensor> plain) {
    return backend_->load_vector(slab, plain);
  });
}

Tensor WeightScope::vector(std::string_view name, std::int64_t n) const {
  const HostTensor part = host(name, {n});
  return concatenate({&part, 1});
}

Tensor WeightScope::row(std::string_view name, std::int64_t n) const {
  const HostTensor part = host(name, {1, n});
  return concatenate({&part, 1});
}

Weight WeightScope::matrix(std::string_view name, std::int64_t out, std::int64_t in) const {
  return matrix({{name, out}}, in);
}

Weight WeightScope::matrix(std::initializer_list<Rows> parts, std::int64_t in) const {
  std::vector<HostTensor> tensors;
  for (const Rows& part : parts) tensors.push_back(host(part.name, {part.out, in}));
  return stack(tensors);
}

Weight WeightScope::gate_up(std::string_view gate, std::string_view up, std::int64_t features,
                            std::int64_t in) const {
  const HostTensor parts[] = {host(gate, {features, in}), host(up, {features, in})};
  return load_matrix(parts, MatrixRole::GateUp);
}

Weight WeightScope::kernel(std::string_view name, std::int64_t out, std::int64_t in,
                           std::int64_t side) const {
  const HostTensor part = host(name, {out, in, side, side});
  return load_plain({&part, 1}, WideNumbers::Kept, [&](Arena& slab, std::span<const Tensor> plain) {
    return backend_->load_kernel(slab, plain[0]);
  });
}

}  // namespace zimage
