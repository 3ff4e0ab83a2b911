// One cache and a model's name become the folders that may hold the model.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/cache_places.h"
#include "hub/model_name.h"

namespace zimage::hub {

// A folder in which one revision of a model lies, whole or not.
struct Snapshot {
  std::filesystem::path folder;
  HubKind hub = HubKind::HuggingFace;
  std::string revision;             // a commit, or ModelScope's branch or tag; empty: not recorded
  std::filesystem::path tree_file;  // the hub's listing of it, which need not exist; empty: none
};

// A place that was looked at in vain.
struct Refusal {
  std::filesystem::path path;
  std::string reason;
};

struct Lookup {
  std::vector<Snapshot> snapshots;  // in the order in which the hub's client would take them
  std::vector<Refusal> refusals;
};

// Where in `place` the model lies. ModelScope, as its client looks: models/O/N, hub/models/O/N
// (dots in N as "___"), the layout models/O--N/snapshots/REVISION, O/N and hub/O/N; without a
// revision "master", then "main", then the only one. Hugging Face: models--O--N/snapshots/COMMIT,
// where COMMIT is the revision or what refs/REVISION names; without a revision refs/main, then the
// only snapshot. Folders of downloads in flight are never taken. Source: modelscope_hub
// _download.py DownloadManager; modelscope hub/utils/utils.py find_reusable_legacy_repo_dir;
// huggingface_hub _snapshot_download.py.
Lookup look_up(const CachePlace& place, const ModelName& name);

// The same for the folder of one model in Hugging Face's layout, the parent of snapshots/.
Lookup look_into(const std::filesystem::path& storage, const std::optional<std::string>& revision);

}  // namespace zimage::hub
