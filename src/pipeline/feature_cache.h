// Features of prompts that have been encoded, kept in host memory for later requests. What enters:
// token ids and features; what leaves: the features of the same ids, as long as they are among the
// last that were used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <utility>
#include <vector>

namespace zimage {

// A prompt and what the text encoder made of it.
struct PromptFeatures {
  std::vector<std::int32_t> ids;
  std::vector<float> values;  // [ids, hidden]; empty: unknown
};

class FeatureCache {
 public:
  using Entries = std::list<PromptFeatures>;

  // Keeps at most `most_bytes` of features; 0 keeps none.
  explicit FeatureCache(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  std::size_t most_bytes() const { return most_bytes_; }
  std::size_t bytes() const { return bytes_; }
  bool has(std::span<const std::int32_t> ids) const;

  // The entry of `ids` in a list of its own, taken out of the cache; without values where there is
  // none.
  Entries take(std::span<const std::int32_t> ids);
  // Takes entries that are known as those used last, drops the rest of them, and the ones used
  // longest ago as far as there is no room.
  void give(Entries entries) noexcept;

 private:
  Entries entries_;  // used last first
  std::size_t most_bytes_;
  std::size_t bytes_ = 0;
};

// The entries of some prompts while a drawing uses them: taken at the beginning, given back at the
// end with what has become known.
class BorrowedFeatures {
 public:
  explicit BorrowedFeatures(FeatureCache& cache) : cache_(cache) {}
  ~BorrowedFeatures() { cache_.give(std::move(entries_)); }
  BorrowedFeatures(const BorrowedFeatures&) = delete;
  BorrowedFeatures& operator=(const BorrowedFeatures&) = delete;

  // References to entries stay valid.
  PromptFeatures& borrow(std::span<const std::int32_t> ids) {
    entries_.splice(entries_.end(), cache_.take(ids));
    return entries_.back();
  }

 private:
  FeatureCache& cache_;
  FeatureCache::Entries entries_;
};

}  // namespace zimage
