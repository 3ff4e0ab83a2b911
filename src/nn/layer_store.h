// Owners of loaded weights: one slab of backend memory for each block, or for everything that is no
// block.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "nn/weight_scope.h"

namespace zimage {

// A bound value (views) and the slab its views point into.
template <typename T>
struct Module {
  Buffer slab;
  T weights;
};

// Calls `load(WeightScope)` twice: on a measuring slab for its size, then on memory of that size.
// Then nothing of the source is in memory.
template <typename Load>
auto load_module(TensorSource& source, Backend& backend, Load load) {
  Arena measure;
  load(WeightScope(source, backend, measure));
  Buffer slab = backend.allocate(measure.used());
  Arena memory(slab.data(), slab.bytes());
  auto weights = load(WeightScope(source, backend, memory));
  source.evict_all();
  return Module<decltype(weights)>{std::move(slab), std::move(weights)};
}

// A network's blocks, each in a slab of its own, all resident.
template <typename Block>
class LayerStore {
 public:
  // `load(WeightScope, std::int64_t layer)` binds one block.
  template <typename Load>
  LayerStore(TensorSource& source, Backend& backend, std::int64_t layers, Load load) {
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      blocks_.push_back(
          load_module(source, backend, [&](const WeightScope& w) { return load(w, layer); }));
    }
  }

  std::int64_t size() const { return static_cast<std::int64_t>(blocks_.size()); }
  // The block's views, valid until the next use().
  const Block& use(std::int64_t layer) const {
    return blocks_[static_cast<std::size_t>(layer)].weights;
  }

 private:
  std::vector<Module<Block>> blocks_;
};

}  // namespace zimage
