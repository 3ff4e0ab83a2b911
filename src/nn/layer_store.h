// Owners of loaded weights: one slab of backend memory for each block, or for everything that is no
// block.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
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

// Every block stays.
inline constexpr std::int64_t kAllLayers = std::numeric_limits<std::int64_t>::max();

// A network's blocks. The first ones are resident, each in a slab of its own; the others are
// streamed: read from the source again for each use, into one slot that they share.
template <typename Block>
class LayerStore {
 public:
  // Binds one block.
  using Load = std::function<Block(const WeightScope&, std::int64_t layer)>;

  // Loads the first `resident` blocks. Where there are more, `source` and `backend` must outlive
  // this, and uses must not be recorded.
  LayerStore(TensorSource& source, Backend& backend, std::int64_t layers, Load load,
             std::int64_t resident = kAllLayers)
      : source_(&source), backend_(&backend), load_(std::move(load)) {
    std::size_t slot_bytes = 0;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      if (layer < resident) {
        blocks_.push_back(
            load_module(source, backend, [&](const WeightScope& w) { return load_(w, layer); }));
        bytes_.push_back(blocks_.back().slab.bytes());
      } else {
        bytes_.push_back(measure(source, layer));
        slot_bytes = std::max(slot_bytes, bytes_.back());
      }
    }
    if (slot_bytes > 0) slot_.slab = backend.allocate(slot_bytes);
  }

  std::int64_t size() const { return static_cast<std::int64_t>(bytes_.size()); }
  bool streams() const { return blocks_.size() < bytes_.size(); }
  // Of each block's slab.
  const std::vector<std::size_t>& bytes() const { return bytes_; }

  // The block's views, valid until the next use(). A streamed block is enqueued to be loaded,
  // behind what still reads the slot; its successor's files are read ahead meanwhile.
  const Block& use(std::int64_t layer) const {
    if (layer < resident()) return blocks_[static_cast<std::size_t>(layer)].weights;
    if (in_slot_ != layer) stream(layer);
    return slot_.weights;
  }

 private:
  std::int64_t resident() const { return static_cast<std::int64_t>(blocks_.size()); }

  std::size_t measure(TensorSource& source, std::int64_t layer) const {
    Arena arena;
    load_(WeightScope(source, *backend_, arena), layer);
    return arena.used();
  }

  void stream(std::int64_t layer) const {
    in_slot_ = -1;
    Arena memory(slot_.slab.data(), slot_.slab.bytes());
    slot_.weights = load_(WeightScope(*source_, *backend_, memory), layer);
    source_->evict_all();
    in_slot_ = layer;
    ReadAheadSource ahead(*source_);
    measure(ahead, layer + 1 < size() ? layer + 1 : resident());
  }

  TensorSource* source_;
  Backend* backend_;
  Load load_;
  std::vector<Module<Block>> blocks_;
  std::vector<std::size_t> bytes_;
  mutable Module<Block> slot_;  // what use() returns is const all the same
  mutable std::int64_t in_slot_ = -1;
};

}  // namespace zimage
