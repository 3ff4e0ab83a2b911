// Looks at one place after the other and remembers why it went on.
#include "hub/resolve.h"

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "hub/listing.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

class Search {
 public:
  explicit Search(const FolderCheck& check) : check_(check) {}

  // True when `lookup` holds a whole model.
  bool add(const std::string& label, const Lookup& lookup) {
    for (const Snapshot& snapshot : lookup.snapshots) {
      const SnapshotState state = inspect(snapshot, check_);
      if (state.is_whole()) {
        whole_ = to_model(snapshot);
        return true;
      }
      if (state.tokenizer_defect.empty() && tokenizer_.empty()) {
        tokenizer_ = snapshot.folder / kTokenizerFile;
      }
      if (state.defects.empty() && !weights_) weights_ = to_model(snapshot);
      std::vector<std::string> defects = state.defects;
      if (!state.tokenizer_defect.empty()) defects.push_back(state.tokenizer_defect);
      refuse(snapshot.folder, label, "incomplete: " + join_defects(defects));
    }
    for (const Refusal& refusal : lookup.refusals) refuse(refusal.path, label, refusal.reason);
    return false;
  }

  std::optional<ResolvedModel> result() const {
    if (whole_) return whole_;
    if (!weights_ || tokenizer_.empty()) return std::nullopt;
    ResolvedModel model = *weights_;
    model.tokenizer = tokenizer_;
    return model;
  }

  // One line for each refusal, each with a newline before it.
  const std::string& refusals() const { return refusals_; }

 private:
  static ResolvedModel to_model(const Snapshot& snapshot) {
    return {.folder = snapshot.folder,
            .tokenizer = {},
            .hub = snapshot.hub,
            .revision = snapshot.revision};
  }

  void refuse(const fs::path& path, const std::string& label, const std::string& reason) {
    refusals_ += "\n  " + printable(path.string()) + label + ": " + reason;
  }

  const FolderCheck& check_;
  std::optional<ResolvedModel> whole_;
  std::optional<ResolvedModel> weights_;  // whole but for the tokenizer
  fs::path tokenizer_;
  std::string refusals_;
};

std::string command(const ModelName& name) {
  return "\nfetch it with: zimage pull " + name.id() +
         (name.revision ? " --revision " + *name.revision : "");
}

}  // namespace

ResolvedModel resolve(const ModelName& name, const std::vector<CachePlace>& places,
                      const FolderCheck& check) {
  Search search(check);
  for (const CachePlace& place : places) {
    const std::string label = std::string(" (") + name_of(place.hub) + ", " + place.source + ")";
    if (search.add(label, look_up(place, name))) break;
  }
  if (auto model = search.result()) return *model;
  throw Error(ErrorCode::NotFound,
              quote(name.id()) + (name.revision ? " at revision " + quote(*name.revision) : "") +
                  " is whole in no cache; looked at:" + search.refusals() + command(name));
}

fs::path find_tokenizer(const ModelName& name, const std::vector<CachePlace>& places) {
  const FolderCheck nothing = [](const fs::path&) { return std::vector<std::string>(); };
  for (const CachePlace& place : places) {
    for (const Snapshot& snapshot : look_up(place, name).snapshots) {
      if (inspect(snapshot, nothing).tokenizer_defect.empty()) {
        return snapshot.folder / kTokenizerFile;
      }
    }
  }
  return {};
}

Snapshot find_snapshot(const ModelName& name, const std::vector<CachePlace>& places,
                       const FolderCheck& check) {
  std::optional<Snapshot> first;
  for (const CachePlace& place : places) {
    for (Snapshot& snapshot : look_up(place, name).snapshots) {
      if (inspect(snapshot, check).is_whole()) return snapshot;
      if (!first) first = std::move(snapshot);
    }
  }
  if (first) return *first;
  resolve(name, places, check);
  throw Error(ErrorCode::NotFound, quote(name.id()) + " changed while it was looked for");
}

ResolvedModel resolve_storage(const fs::path& storage, const std::optional<std::string>& revision,
                              const FolderCheck& check) {
  Search search(check);
  if (search.add("", look_into(storage, revision))) return *search.result();
  throw Error(ErrorCode::NotFound,
              quote(storage.string()) + " holds no whole model:" + search.refusals());
}

}  // namespace zimage::hub
