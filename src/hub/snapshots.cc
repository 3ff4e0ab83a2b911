// The layouts of both hubs' caches.
#include "hub/snapshots.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/quote.h"
#include "hub/folder.h"
#include "hub/path_problem.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxListed = 5;

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i == kMaxListed) return text + " and " + std::to_string(names.size() - i) + " more";
    text += (i > 0 ? ", " : "") + printable(names[i]);
  }
  return text.empty() ? "none" : text;
}

class ModelScopeLookup {
 public:
  ModelScopeLookup(fs::path root, const ModelName& name) : root_(std::move(root)), name_(name) {}

  Lookup run() {
    std::string safe = name_.name;
    for (std::size_t at = 0; (at = safe.find('.', at)) != std::string::npos; at += 3) {
      safe.replace(at, 1, "___");
    }
    const fs::path models = root_ / "models";
    add_old(models / name_.owner / safe);
    add_old(root_ / "hub/models" / name_.owner / safe);
    add_new(models / (name_.owner + "--" + name_.name) / "snapshots");
    for (const fs::path& parent : {root_, root_ / "hub", models, root_ / "hub/models"}) {
      add_old(parent / name_.owner / name_.name);
      add_old(parent / name_.owner / safe);
    }
    return std::move(result_);
  }

 private:
  // A layout without revisions: the folder is the snapshot.
  void add_old(const fs::path& folder) {
    const auto is_here = [&folder](const auto& entry) { return entry == folder; };
    if (!is_there(folder) || std::ranges::any_of(seen_, is_here)) return;
    seen_.push_back(folder);
    if (std::string problem = folder_problem(folder); !problem.empty()) {
      return refuse(folder, std::move(problem));
    }
    const std::string revision = recorded_revision(folder);
    if (name_.revision && revision != *name_.revision) {
      return refuse(folder, revision.empty() ? "does not record its revision"
                                             : "is revision " + quote(revision));
    }
    result_.snapshots.push_back(
        {.folder = folder, .hub = HubKind::ModelScope, .revision = revision, .tree_file = {}});
  }

  void add_new(const fs::path& snapshots) {
    if (!is_there(snapshots)) return;
    if (std::string problem = folder_problem(snapshots); !problem.empty()) {
      return refuse(snapshots, std::move(problem));
    }
    std::optional<std::string> revision = name_.revision;
    // A revision's slashes are folders, so that only a plain one is found by listing.
    for (const char* usual : {"master", "main"}) {
      if (!revision && is_there(snapshots / usual)) revision = usual;
    }
    if (!revision) {
      const std::vector<std::string> found = folders_in(snapshots);
      if (found.size() != 1) {
        return refuse(snapshots,
                      "has neither master nor main; choose with --revision, found " + join(found));
      }
      revision = found[0];
    }
    const fs::path folder = snapshots / *revision;
    if (std::string problem = folder_problem(folder); !problem.empty()) {
      return refuse(folder, std::move(problem));
    }
    result_.snapshots.push_back(
        {.folder = folder, .hub = HubKind::ModelScope, .revision = *revision, .tree_file = {}});
  }

  void refuse(const fs::path& path, std::string reason) {
    result_.refusals.push_back({path, std::move(reason)});
  }

  fs::path root_;
  const ModelName& name_;
  std::vector<fs::path> seen_;
  Lookup result_;
};

// The commit that refs/ gives for a revision; a refusal, added to `result`, when it gives none.
std::optional<std::string> commit_of(const fs::path& storage, const std::string& revision,
                                     Lookup& result) {
  if (is_commit(revision)) return revision;
  const fs::path file = storage / "refs" / revision;
  if (std::string problem = file_problem(file, std::nullopt); !problem.empty()) {
    const std::vector<std::string> found = folders_in(storage / "snapshots");
    result.refusals.push_back({file, problem + "; the snapshots are " + join(found)});
    return std::nullopt;
  }
  std::string commit = read_word(file);
  if (is_commit(commit)) return commit;
  result.refusals.push_back({file, "expected a commit id, found " + quote(commit)});
  return std::nullopt;
}

// The commit to use when no revision is asked for.
std::optional<std::string> default_commit(const fs::path& storage, Lookup& result) {
  if (is_there(storage / "refs/main")) return commit_of(storage, "main", result);
  const fs::path snapshots = storage / "snapshots";
  const std::vector<std::string> found = folders_in(snapshots);
  if (found.size() == 1 && is_commit(found[0])) return found[0];
  result.refusals.push_back(
      {snapshots,
       "there is no refs/main to choose by; choose with --revision, found " + join(found)});
  return std::nullopt;
}

}  // namespace

Lookup look_into(const fs::path& storage, const std::optional<std::string>& revision) {
  Lookup result;
  const std::optional<std::string> commit =
      revision ? commit_of(storage, *revision, result) : default_commit(storage, result);
  if (!commit) return result;
  const fs::path folder = storage / "snapshots" / *commit;
  if (std::string problem = folder_problem(folder); !problem.empty()) {
    result.refusals.push_back({folder, std::move(problem)});
    return result;
  }
  result.snapshots.push_back({.folder = folder,
                              .hub = HubKind::HuggingFace,
                              .revision = *commit,
                              .tree_file = storage / "trees" / (*commit + ".json")});
  return result;
}

Lookup look_up(const CachePlace& place, const ModelName& name) {
  if (std::string problem = folder_problem(place.root); !problem.empty()) {
    return {.snapshots = {}, .refusals = {{place.root, std::move(problem)}}};
  }
  Lookup result;
  if (place.hub == HubKind::ModelScope) {
    result = ModelScopeLookup(place.root, name).run();
  } else {
    const fs::path storage = place.root / ("models--" + name.owner + "--" + name.name);
    if (is_there(storage)) {
      const std::string problem = folder_problem(storage);
      if (!problem.empty()) return {.snapshots = {}, .refusals = {{storage, problem}}};
      result = look_into(storage, name.revision);
    }
  }
  if (result.snapshots.empty() && result.refusals.empty()) {
    result.refusals.push_back({place.root, "does not hold it"});
  }
  return result;
}

}  // namespace zimage::hub
