// Owners of loaded weights: one slab of backend memory for each block, or for everything that is no
// block.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <stop_token>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "nn/run.h"
#include "nn/weight_scope.h"

namespace zimage {

// A bound value (views) and the memory its views point into: a slab of the backend's, or pages of a
// file that holds the same bytes.
template <typename T>
struct Module {
  Buffer slab;
  MappedSlab pages;
  T weights;

  std::size_t bytes() const { return slab.bytes() + pages.bytes().size(); }
};

// The file in which modules loaded from `source` through `backend` keep their slabs; null: none
// does.
inline SlabFile* slabs_for(TensorSource& source, const Backend& backend) {
  return backend.weight_layout().empty() ? nullptr : source.slabs();
}

// Whether to ask for what a load through `backend` is about to read.
inline bool reads_ahead(const TensorSource& source, const Backend& backend) {
  return source.preloads() && backend.computes();
}

// Binds a module to pages that hold what `load` has written before.
template <typename Load>
auto bind_module(TensorSource& source, Backend& backend, Load load, MappedSlab pages) {
  if (reads_ahead(source, backend)) source.read_ahead(pages.bytes());
  // Arena has no read-only kind; a filled slab is only pointed at.
  Arena memory(const_cast<std::byte*>(pages.bytes().data()), pages.bytes().size());
  auto weights = load(WeightScope(source, backend, memory, SlabState::Filled));
  return Module<decltype(weights)>{Buffer(), std::move(pages), std::move(weights)};
}

// Calls `load(WeightScope)` twice: on a measuring slab for its size, then on memory of that size.
// Then nothing of the source is in memory. Where the source keeps slabs, they are found in its file
// or put there, and the module is bound to the file.
template <typename Load>
auto load_module(TensorSource& source, Backend& backend, Load load) {
  NamingSource naming(source);
  Arena measure;
  load(WeightScope(naming, backend, measure));
  SlabFile* const file = measure.used() > 0 ? slabs_for(source, backend) : nullptr;
  if (file != nullptr) {
    MappedSlab pages = file->find(naming.names(), measure.used());
    if (!pages.empty()) return bind_module(source, backend, load, std::move(pages));
  }
  if (reads_ahead(source, backend)) {
    ReadAheadSource ahead(source);
    Arena unused;
    load(WeightScope(ahead, backend, unused));
  }
  Buffer slab = backend.allocate(measure.used());
  Arena memory(slab.data(), slab.bytes());
  auto weights = load(WeightScope(source, backend, memory));
  source.evict_all();
  if (file != nullptr) {
    backend.synchronize();
    MappedSlab pages =
        file->put(naming.names(), {static_cast<const std::byte*>(slab.data()), slab.bytes()});
    return bind_module(source, backend, load, std::move(pages));
  }
  return Module<decltype(weights)>{std::move(slab), MappedSlab(), std::move(weights)};
}

// Every block stays.
inline constexpr std::int64_t kAllLayers = std::numeric_limits<std::int64_t>::max();

// Where a network's blocks are, and who may stop their loading.
struct LayerPlacement {
  std::int64_t resident = kAllLayers;  // as many stay on the backend, the others are streamed
  HostSlabs* copies = nullptr;  // keeps those in the form they are computed with; or read each time
  std::stop_token stop = {};    // asked before each block
};

// Whether one of `layers` blocks is streamed, of which `resident` are not. Streamed blocks stand
// among the others at equal distances, so that copying never waits long for computing; the last one
// is one of them.
inline bool is_streamed(std::int64_t layer, std::int64_t layers, std::int64_t resident) {
  if (resident >= layers) return false;
  const std::int64_t streamed = layers - resident;
  return (layer + 1) * streamed / layers > layer * streamed / layers;
}

// How many slots streamed blocks share: with two, one is filled while the other is read.
inline std::int64_t stream_slots(const Backend& backend) {
  return backend.memory_kind() == MemoryKind::Device ? 2 : 1;
}

// A network's blocks. Some are resident, each in a slab of its own. The others are streamed:
// brought into a slot for each use, from their copies in host memory, else from the source.
template <typename Block>
class LayerStore {
 public:
  // Binds one block.
  using Load = std::function<Block(const WeightScope&, std::int64_t layer)>;

  // Loads the resident blocks, and makes the copies of the others that there are not yet. Where
  // blocks are streamed, everything given must outlive this, and uses must not be recorded. Where
  // the source keeps slabs, every block is put there, and streamed ones are mapped from there.
  // Throws Cancelled; copies that were made stay.
  LayerStore(TensorSource& source, Backend& backend, std::int64_t layers, Load load,
             const LayerPlacement& placement = {})
      : source_(&source),
        backend_(&backend),
        copies_(placement.copies),
        load_(std::move(load)),
        is_mapped_(slabs_for(source, backend) != nullptr),
        blocks_(static_cast<std::size_t>(layers)) {
    std::size_t slot_bytes = 0;
    // What a written file of slabs holds is not read from the source.
    const SlabFile* const file = slabs_for(source, backend);
    const bool ahead = reads_ahead(source, backend) && (file == nullptr || !file->is_written());
    if (ahead && layers > 0) read_ahead(0);
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      throw_if_stopped(placement.stop);
      if (ahead && layer + 1 < layers && !is_streamed(layer + 1, layers, placement.resident)) {
        read_ahead(layer + 1);
      }
      const bool streamed = is_streamed(layer, layers, placement.resident);
      if (streamed) streamed_.push_back(layer);
      if (streamed && !is_mapped_) {
        bytes_.push_back(measure(source, layer));
        slot_bytes = std::max(slot_bytes, bytes_.back());
        continue;
      }
      Module<Block> block = load_layer(layer);
      bytes_.push_back(block.bytes());
      if (!streamed) blocks_[static_cast<std::size_t>(layer)] = std::move(block);
    }
    if (!streams()) return;
    if (is_mapped_) {
      slots_.resize(2);  // for the block in use, and the one that is read ahead
      return;
    }
    slots_.resize(static_cast<std::size_t>(stream_slots(backend)));
    for (Slot& slot : slots_) slot.module.slab = backend.allocate(slot_bytes);
    if (copies_ != nullptr) copy_to_host(placement.stop);
  }

  std::int64_t size() const { return static_cast<std::int64_t>(bytes_.size()); }
  bool streams() const { return !streamed_.empty(); }
  // Of each block's slab.
  const std::vector<std::size_t>& bytes() const { return bytes_; }

  // Binds a block on a measuring slab, and gives its size.
  std::size_t measure(std::int64_t layer) const { return measure(*source_, layer); }

  // The block's views, valid until the next use(). A streamed block is enqueued to be brought,
  // behind what still reads its slot; the next ones follow meanwhile, or their files are read
  // ahead.
  const Block& use(std::int64_t layer) const {
    const auto next = std::upper_bound(streamed_.begin(), streamed_.end(), layer);
    const bool resident = next == streamed_.begin() || *(next - 1) != layer;
    if (resident) {
      if (streams()) copy_ahead(nullptr, next);
      return blocks_[static_cast<std::size_t>(layer)].weights;
    }
    Slot* slot = find(layer);
    if (slot == nullptr) {
      slot = &slots_[0];
      has_copy(layer) ? fetch(*slot, layer) : read(*slot, layer);
      if (!is_mapped_ && !has_copy(at(next))) read_ahead(at(next));
    }
    wait_for(*slot);
    is_mapped_ ? map_ahead(*slot, at(next)) : copy_ahead(slot, next);
    return slot->module.weights;
  }

 private:
  struct Slot {
    Module<Block> module = {};
    std::int64_t layer = -1;
    bool fetched = false;  // from a copy, and not waited for since
  };
  using Position = std::vector<std::int64_t>::const_iterator;

  bool has_copy(std::int64_t layer) const { return copies_ != nullptr && copies_->has(layer); }
  // After the last streamed block comes the first of the next pass.
  std::int64_t at(Position position) const {
    return position == streamed_.end() ? streamed_.front() : *position;
  }

  Slot* find(std::int64_t layer) const {
    for (Slot& slot : slots_) {
      if (slot.layer == layer) return &slot;
    }
    return nullptr;
  }

  Module<Block> load_layer(std::int64_t layer) const {
    return load_module(*source_, *backend_, [&](const WeightScope& w) { return load_(w, layer); });
  }

  std::size_t measure(TensorSource& source, std::int64_t layer) const {
    Arena arena;
    load_(WeightScope(source, *backend_, arena), layer);
    return arena.used();
  }

  void copy_to_host(const std::stop_token& stop) {
    for (const std::int64_t layer : streamed_) {
      if (copies_->has(layer)) continue;
      throw_if_stopped(stop);
      read(slots_[0], layer);
      const std::size_t bytes = bytes_[static_cast<std::size_t>(layer)];
      if (!copies_->keep(layer, slots_[0].module.slab, bytes)) return;
    }
  }

  // What is enqueued from here on finds the slot as it was filled.
  void wait_for(Slot& slot) const {
    if (slot.fetched) copies_->wait(slot.layer);
    slot.fetched = false;
  }

  // From the source, behind everything enqueued; or out of its file of slabs.
  void read(Slot& slot, std::int64_t layer) const {
    wait_for(slot);
    slot.layer = -1;
    if (is_mapped_) {
      slot.module = load_layer(layer);
      slot.layer = layer;
      return;
    }
    Arena memory(slot.module.slab.data(), slot.module.slab.bytes());
    slot.module.weights = load_(WeightScope(*source_, *backend_, memory), layer);
    source_->evict_all();
    slot.layer = layer;
  }

  // From its copy.
  void fetch(Slot& slot, std::int64_t layer) const {
    slot.layer = -1;
    copies_->fetch(slot.module.slab, layer);
    slot.fetched = true;
    Arena layout = Arena::measuring_at(slot.module.slab.data());
    slot.module.weights = load_(WeightScope(*source_, *backend_, layout), layer);
    slot.layer = layer;
  }

  // Maps the block that is used next beside the one in use, and has its pages read.
  void map_ahead(const Slot& in_use, std::int64_t layer) const {
    if (find(layer) != nullptr) return;
    Slot& free = &in_use == &slots_[0] ? slots_[1] : slots_[0];
    read(free, layer);
    source_->read_ahead(free.module.pages.bytes());
  }

  // Fills the slots, all but the one in use, with the streamed blocks from `next` on.
  void copy_ahead(const Slot* in_use, Position next) const {
    std::vector<std::int64_t> wanted;
    for (std::size_t i = in_use == nullptr ? 0 : 1; i < slots_.size(); ++i) {
      wanted.push_back(at(next));
      next = next == streamed_.end() ? streamed_.begin() + 1 : next + 1;
    }
    for (const std::int64_t layer : wanted) {
      if (!has_copy(layer) || find(layer) != nullptr) continue;
      const auto free = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& slot) {
        return &slot != in_use &&
               std::find(wanted.begin(), wanted.end(), slot.layer) == wanted.end();
      });
      if (free != slots_.end()) fetch(*free, layer);
    }
  }

  void read_ahead(std::int64_t layer) const {
    ReadAheadSource ahead(*source_);
    measure(ahead, layer);
  }

  TensorSource* source_;
  Backend* backend_;
  HostSlabs* copies_;
  Load load_;
  bool is_mapped_;                      // every block is in the source's file of slabs
  std::vector<Module<Block>> blocks_;   // empty for streamed ones
  std::vector<std::int64_t> streamed_;  // ascending
  std::vector<std::size_t> bytes_;
  mutable std::vector<Slot> slots_;  // what use() returns is const all the same
};

}  // namespace zimage
