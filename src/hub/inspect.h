// A snapshot becomes what it lacks.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hub/snapshots.h"

namespace zimage::hub {

// What keeps a folder from being a whole model, the tokenizer apart, one sentence each; empty when
// nothing does. Given by who knows the formats.
using FolderCheck = std::function<std::vector<std::string>(const std::filesystem::path& folder)>;

struct SnapshotState {
  std::vector<std::string> defects;  // the tokenizer apart
  std::string tokenizer_defect;      // empty when its file is there

  bool is_whole() const { return defects.empty() && tokenizer_defect.empty(); }
};

// Compares the files that make the model run with the hub's listing (presence and size) where there
// is one, looks for dangling links where there is none, and then asks `check`. A missing file whose
// download is in flight or was cut short is named with the bytes that are there.
SnapshotState inspect(const Snapshot& snapshot, const FolderCheck& check);

// "a; b; c and 2 more".
std::string join_defects(const std::vector<std::string>& defects);

}  // namespace zimage::hub
