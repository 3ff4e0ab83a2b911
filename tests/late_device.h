// A device in host memory that copies weights as late as it may, for tests of streaming.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "backend/reference/reference_backend.h"

namespace zimage {

class LateSlabs final : public HostSlabs {
 public:
  // Has room for `most`.
  explicit LateSlabs(std::size_t most) : most_(most) {}

  bool keep(std::int64_t index, const Buffer& slab, std::size_t bytes) override {
    if (slabs_.size() == most_) return false;
    const auto* data = static_cast<const std::byte*>(slab.data());
    slabs_[index] = {data, data + bytes};
    return true;
  }
  bool has(std::int64_t index) const override { return slabs_.contains(index); }
  void fetch(const Buffer& slab, std::int64_t index) override {
    fetched.push_back(index);
    pending_.emplace_back(slab.data(), index);
    std::memset(slab.data(), 0xff, slab.bytes());  // what was there is not to be read any more
  }
  // Copies are in the order of their calls.
  void wait(std::int64_t index) override {
    const auto last = std::find_if(pending_.rbegin(), pending_.rend(),
                                   [index](const auto& copy) { return copy.second == index; });
    for (auto copy = pending_.begin(); copy != last.base(); ++copy)
      std::memcpy(copy->first, slabs_[copy->second].data(), slabs_[copy->second].size());
    pending_.erase(pending_.begin(), last.base());
  }
  // Copies that nobody has waited for.
  std::size_t pending() const { return pending_.size(); }
  // Memory that is freed is not copied to.
  void forget(const void* slab) {
    std::erase_if(pending_, [&](const auto& copy) { return copy.first == slab; });
  }

  std::vector<std::int64_t> fetched;

 private:
  std::size_t most_;
  std::map<std::int64_t, std::vector<std::byte>> slabs_;
  std::vector<std::pair<void*, std::int64_t>> pending_;
};

class LateDevice final : public ReferenceBackend {
 public:
  MemoryKind memory_kind() const override { return MemoryKind::Device; }
  std::unique_ptr<HostSlabs> make_host_slabs() override {
    auto made = std::make_unique<LateSlabs>(1000);
    slabs.push_back(made.get());
    return made;
  }

  std::vector<LateSlabs*> slabs;  // all that were made, which others own and keep as long as this

 protected:
  void do_free(void* data, std::size_t bytes) noexcept override {
    for (LateSlabs* made : slabs) made->forget(data);
    ReferenceBackend::do_free(data, bytes);
  }
};

}  // namespace zimage
