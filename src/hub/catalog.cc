// Walks the layouts of both hubs' caches.
#include "hub/catalog.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "hub/folder.h"
#include "hub/model_name.h"
#include "hub/path_problem.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStoragePrefix = "models--";

// "models--OWNER--NAME" or, of ModelScope, "OWNER--NAME" becomes OWNER/NAME.
std::optional<std::string> id_of_storage(std::string_view name) {
  if (name.starts_with(kStoragePrefix)) {
    name.remove_prefix(kStoragePrefix.size());
    if (name.find("--") == std::string_view::npos &&
        parse_model_name(std::string("x/").append(name))) {
      return std::string(name);
    }
  }
  const std::size_t dashes = name.find("--");
  if (dashes == std::string_view::npos) return std::nullopt;
  std::string id = std::string(name.substr(0, dashes)) + "/";
  id += name.substr(dashes + 2);
  return parse_model_name(id) ? std::optional(id) : std::nullopt;
}

// OWNER/NAME of the older layouts of ModelScope, where "___" stands for a dot.
std::optional<std::string> id_of_old(const std::string& owner, std::string_view name) {
  std::string id = owner + "/";
  while (!name.empty()) {
    const bool is_dot = name.starts_with("___");
    id += is_dot ? '.' : name.front();
    name.remove_prefix(is_dot ? 3 : 1);
  }
  return parse_model_name(id) ? std::optional(id) : std::nullopt;
}

// True when a folder of the older layouts holds a model rather than anything else.
bool holds_model(const fs::path& folder) {
  constexpr std::array<const char*, 6> kSigns = {
      ".msc", ".mdl", ".mv", "model_index.json", "config.json", "configuration.json"};
  return std::ranges::any_of(kSigns,
                             [&folder](const char* sign) { return is_there(folder / sign); });
}

// commit -> names of refs/.
std::map<std::string, std::vector<std::string>> references_of(const fs::path& storage) {
  std::map<std::string, std::vector<std::string>> result;
  for (const FolderFile& file : files_below(storage / "refs")) {
    if (is_revision(file.path)) {
      result[read_word(storage / "refs" / file.path)].push_back(file.path);
    }
  }
  return result;
}

Snapshot hugging_face_snapshot(const fs::path& storage, const std::string& commit) {
  return {.folder = storage / "snapshots" / commit,
          .hub = HubKind::HuggingFace,
          .revision = commit,
          .tree_file = storage / "trees" / (commit + ".json")};
}

class Lister {
 public:
  void add(const CachePlace& place) {
    if (std::string problem = folder_problem(place.root); !problem.empty()) {
      catalog_.refusals.push_back({place.root, std::move(problem)});
      return;
    }
    source_ = place.source;
    if (place.hub == HubKind::HuggingFace) {
      add_hugging_face(place.root);
      return;
    }
    add_modelscope(place.root / "models");
    for (const char* parent : {"models", "hub/models", "", "hub"}) add_old(place.root / parent);
  }

  Catalog take() { return std::move(catalog_); }

 private:
  void add_hugging_face(const fs::path& root) {
    for (const std::string& name : folders_in(root)) {
      if (!name.starts_with(kStoragePrefix)) continue;
      const std::optional<std::string> id = id_of_storage(name);
      if (!id) continue;
      const fs::path storage = root / name;
      auto references = references_of(storage);
      bool is_empty = true;
      for (const std::string& commit : folders_in(storage / "snapshots")) {
        if (!is_commit(commit)) continue;
        is_empty = false;
        push({.id = *id,
              .snapshot = hugging_face_snapshot(storage, commit),
              .references = std::move(references[commit]),
              .source = source_});
      }
      if (is_empty) refuse_empty(storage);
    }
  }

  void add_modelscope(const fs::path& models) {
    for (const std::string& name : folders_in(models)) {
      const std::optional<std::string> id = id_of_storage(name);
      if (!id || !is_there(models / name / "snapshots")) continue;
      bool is_empty = true;
      for (const std::string& revision : folders_in(models / name / "snapshots")) {
        if (!is_revision(revision)) continue;
        is_empty = false;
        push_modelscope(*id, models / name / "snapshots" / revision, revision);
      }
      if (is_empty) refuse_empty(models / name);
    }
  }

  void add_old(const fs::path& parent) {
    for (const std::string& owner : folders_in(parent)) {
      for (const std::string& name : folders_in(parent / owner)) {
        const fs::path folder = parent / owner / name;
        const std::optional<std::string> id = id_of_old(owner, name);
        if (id && holds_model(folder)) push_modelscope(*id, folder, recorded_revision(folder));
      }
    }
  }

  void push_modelscope(const std::string& id, const fs::path& folder, const std::string& revision) {
    push({.id = id,
          .snapshot =
              {.folder = folder, .hub = HubKind::ModelScope, .revision = revision, .tree_file = {}},
          .references = {},
          .source = source_});
  }

  void push(CatalogEntry entry) {
    std::error_code error;
    const fs::path real = fs::canonical(entry.snapshot.folder, error);
    if (!error && !seen_.insert(real.string()).second) return;
    catalog_.entries.push_back(std::move(entry));
  }

  void refuse_empty(const fs::path& storage) {
    catalog_.refusals.push_back(
        {storage, "holds no snapshot: a download was cut short or is in flight"});
  }

  Catalog catalog_;
  std::set<std::string> seen_;
  std::string source_;
};

}  // namespace

Catalog list_catalog(const std::vector<CachePlace>& places) {
  Lister lister;
  for (const CachePlace& place : places) lister.add(place);
  return lister.take();
}

CatalogEntry identify(const fs::path& folder) {
  std::error_code error;
  fs::path real = fs::canonical(folder, error);
  if (error) real = folder;
  const fs::path storage = real.parent_path().parent_path();
  if (real.parent_path().filename() == "snapshots") {
    const std::string name = storage.filename().string();
    const std::optional<std::string> id = id_of_storage(name);
    const std::string revision = real.filename().string();
    if (id && name.starts_with(kStoragePrefix)) {
      return {.id = *id,
              .snapshot = hugging_face_snapshot(storage, revision),
              .references = {},
              .source = {}};
    }
    if (id) {
      return {.id = *id,
              .snapshot = {.folder = real,
                           .hub = HubKind::ModelScope,
                           .revision = revision,
                           .tree_file = {}},
              .references = {},
              .source = {}};
    }
  }
  CatalogEntry entry;
  entry.snapshot.folder = folder;
  entry.snapshot.revision = recorded_revision(folder);
  std::vector<fs::path> trees;
  fs::directory_iterator tree(folder / ".cache/huggingface/trees", error);
  for (; !error && tree != fs::directory_iterator(); tree.increment(error)) {
    if (tree->path().extension() == ".json") trees.push_back(tree->path());
  }
  if (trees.size() == 1) entry.snapshot.tree_file = trees[0];
  return entry;
}

}  // namespace zimage::hub
