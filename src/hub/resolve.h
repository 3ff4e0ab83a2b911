// A model's name becomes a whole folder on disk.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hub/cache_places.h"
#include "hub/inspect.h"
#include "hub/model_name.h"

namespace zimage::hub {

struct ResolvedModel {
  std::filesystem::path folder;
  std::filesystem::path tokenizer;  // its file, when it lies outside of `folder`; else empty
  HubKind hub = HubKind::HuggingFace;
  std::string revision;  // as Snapshot::revision
};

// The first whole snapshot of the places; else the first that lacks nothing but the tokenizer,
// together with the first tokenizer that any snapshot of that name has. Throws NotFound: every
// place that was looked at, why it was refused, and the command that fetches the model.
ResolvedModel resolve(const ModelName& name, const std::vector<CachePlace>& places,
                      const FolderCheck& check);

// The tokenizer's file in the first snapshot that has one; empty when none has.
std::filesystem::path find_tokenizer(const ModelName& name, const std::vector<CachePlace>& places);

// The first whole snapshot of the places; else the first that is there. Throws what resolve throws
// when there is none.
Snapshot find_snapshot(const ModelName& name, const std::vector<CachePlace>& places,
                       const FolderCheck& check);

// What resolve gives for a folder of Hugging Face's cache, models--OWNER--NAME, the parent of
// snapshots/.
ResolvedModel resolve_storage(const std::filesystem::path& storage,
                              const std::optional<std::string>& revision, const FolderCheck& check);

}  // namespace zimage::hub
