// Binds a network's weights: a cursor over tensor names that checks shapes and loads through a
// backend into one slab. Backends compute with plain numbers: quantized tensors are widened on the
// way (nn/widen.h). What has been loaded is evicted from its source.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "backend/backend.h"
#include "nn/tensor_source.h"

namespace zimage {

// Whether loads write their weights, or find them written.
enum class SlabState : std::uint8_t {
  Empty,
  Filled,  // by the same loads, earlier: no number of the source is read
};

// A cheap value; source, backend and slab must outlive it.
class WeightScope {
 public:
  WeightScope(TensorSource& source, Backend& backend, Arena& slab,
              SlabState state = SlabState::Empty)
      : source_(&source), backend_(&backend), slab_(&slab), state_(state) {}

  // The scope of everything below `child`: names get the prefix "child.".
  WeightScope operator[](std::string_view child) const;
  // The same scope, whose matrices for linear() are left out of the backend's encoding.
  WeightScope plain() const;

  // One part of a fused matrix.
  struct Rows {
    std::string_view name;
    std::int64_t out;
  };

  // f32 [n].
  Tensor vector(std::string_view name, std::int64_t n) const;
  // The same from a tensor of shape [1, n].
  Tensor row(std::string_view name, std::int64_t n) const;
  // One matrix [out, in], or several stacked by rows.
  Weight matrix(std::string_view name, std::int64_t out, std::int64_t in) const;
  Weight matrix(std::initializer_list<Rows> parts, std::int64_t in) const;
  // Gate and up projections [features, in] each, for swiglu.
  Weight gate_up(std::string_view gate, std::string_view up, std::int64_t features,
                 std::int64_t in) const;
  // [out, in, side, side].
  Weight kernel(std::string_view name, std::int64_t out, std::int64_t in, std::int64_t side) const;

  // The host tensor itself, living as long as the source.
  HostTensor host(std::string_view name, const Shape& shape) const;

  // For callers that gather parts from several scopes with host(): stacked by rows; concatenated.
  Weight stack(std::span<const HostTensor> parts) const;
  Tensor concatenate(std::span<const HostTensor> parts) const;

 private:
  Weight load_matrix(std::span<const HostTensor> parts, MatrixRole role) const;
  // Calls `load(slab, tensors)` with plain tensors, as the slab's state asks for.
  template <typename Load>
  auto load_plain(std::span<const HostTensor> parts, WideNumbers wide, Load load) const;

  TensorSource* source_;
  Backend* backend_;
  Arena* slab_;
  SlabState state_;
  std::string prefix_;
  MatrixRole linear_ = MatrixRole::Linear;
};

}  // namespace zimage
