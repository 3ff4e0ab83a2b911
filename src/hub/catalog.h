// Caches become the list of the models in them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hub/cache_places.h"
#include "hub/snapshots.h"

namespace zimage::hub {

// One revision of one model in a cache, whole or not.
struct CatalogEntry {
  std::string id;  // OWNER/NAME; NAME for the few that have no owner
  Snapshot snapshot;
  std::vector<std::string> references;  // branches and tags that name the commit, sorted
  std::string source;                   // as CachePlace::source
};

struct Catalog {
  std::vector<CatalogEntry> entries;  // by place, then by name, then by revision
  std::vector<Refusal> refusals;      // places that cannot be read, and models without a snapshot
};

// What lies in `places`, in the layouts that look_up knows; a folder that two places share is
// listed once. Folders whose names are not those of models are passed over.
Catalog list_catalog(const std::vector<CachePlace>& places);

// The snapshot that `folder` is, by its place in a cache, and the model's id; a folder elsewhere
// has neither revision nor id, and its listing is what a download into a folder of its own left in
// .cache/huggingface/trees, when it is the only one.
CatalogEntry identify(const std::filesystem::path& folder);

}  // namespace zimage::hub
