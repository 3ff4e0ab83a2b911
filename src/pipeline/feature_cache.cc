// A list in the order of use: there are too few prompts for anything faster to matter beside an
// encoder's run.
#include "pipeline/feature_cache.h"

#include <algorithm>

namespace zimage {
namespace {

std::size_t bytes_of(const PromptFeatures& entry) {
  return entry.values.size() * sizeof(float);
}

auto find_ids(auto& entries, std::span<const std::int32_t> ids) {
  return std::find_if(entries.begin(), entries.end(), [&](const PromptFeatures& entry) {
    return std::equal(entry.ids.begin(), entry.ids.end(), ids.begin(), ids.end());
  });
}

}  // namespace

bool FeatureCache::has(std::span<const std::int32_t> ids) const {
  return find_ids(entries_, ids) != entries_.end();
}

FeatureCache::Entries FeatureCache::take(std::span<const std::int32_t> ids) {
  Entries taken;
  const auto found = find_ids(entries_, ids);
  if (found == entries_.end()) {
    taken.push_back({.ids = {ids.begin(), ids.end()}, .values = {}});
  } else {
    bytes_ -= bytes_of(*found);
    taken.splice(taken.end(), entries_, found);
  }
  return taken;
}

void FeatureCache::give(Entries entries) noexcept {
  while (!entries.empty()) {
    const PromptFeatures& entry = entries.front();
    // One prompt may have been taken twice, of which the second had to be made anew.
    if (entry.values.empty() || has(entry.ids)) {
      entries.pop_front();
      continue;
    }
    bytes_ += bytes_of(entry);
    entries_.splice(entries_.begin(), entries, entries.begin());
  }
  while (bytes_ > most_bytes_) {
    bytes_ -= bytes_of(entries_.back());
    entries_.pop_back();
  }
}

}  // namespace zimage
