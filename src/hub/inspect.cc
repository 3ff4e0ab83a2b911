// Holds a snapshot against its listing and against itself.
#include "hub/inspect.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>

#include "base/quote.h"
#include "hub/listing.h"
#include "hub/path_problem.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxListed = 4;
constexpr std::string_view kPartial = ".incomplete";

// Bytes of the largest file in `folder` whose name begins with `stem` and marks a cut download.
std::optional<std::uintmax_t> partial_bytes(const fs::path& folder, const std::string& stem) {
  std::optional<std::uintmax_t> most;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(stem) || !name.ends_with(kPartial)) continue;
    std::error_code ignored;
    const std::uintmax_t bytes = entry->file_size(ignored);
    if (!ignored) most = std::max(most.value_or(0), bytes);
  }
  return most;
}

// What is wrong with one file of a snapshot; empty when nothing is.
std::string defect_of(const Snapshot& snapshot, const ListedFile& file) {
  const fs::path path = snapshot.folder / file.path;
  std::string problem = file_problem(path, file.bytes);
  if (problem.empty()) return {};
  const std::string& sum = file.sha256.empty() ? file.git_sha1 : file.sha256;
  const std::optional<std::uintmax_t> partial =
      snapshot.hub == HubKind::ModelScope || sum.empty()
          ? partial_bytes(path.parent_path(), path.filename().string())
          : partial_bytes(snapshot.folder / "../../blobs", sum);
  if (partial) {
    problem +=
        " (a download was cut short or is in flight, with " + std::to_string(*partial) + " bytes)";
  }
  return printable(file.path) + ": " + problem;
}

void compare(SnapshotState& state, const Snapshot& snapshot, const Listing& listing) {
  for (const ListedFile& file : listing) {
    if (!is_needed(file.path)) continue;
    std::string defect = defect_of(snapshot, file);
    if (defect.empty()) continue;
    if (file.path == kTokenizerFile) {
      state.tokenizer_defect = std::move(defect);
    } else {
      state.defects.push_back(std::move(defect));
    }
  }
}

// Without a listing: files whose names are there and whose content is not.
void find_unreadable(SnapshotState& state, const fs::path& folder) {
  constexpr std::array<std::string_view, 5> kFolders = {"", "text_encoder/", "transformer/", "vae/",
                                                        "scheduler/"};
  for (const std::string_view inner : kFolders) {
    std::error_code error;
    fs::directory_iterator entry(folder / inner, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      const std::string path = std::string(inner) + entry->path().filename().string();
      if (!is_needed(path)) continue;
      const std::string problem = file_problem(entry->path(), std::nullopt);
      if (!problem.empty()) state.defects.push_back(printable(path) + ": " + problem);
    }
  }
  std::ranges::sort(state.defects);
}

}  // namespace

SnapshotState inspect(const Snapshot& snapshot, const FolderCheck& check) {
  SnapshotState state;
  const std::optional<Listing> listing =
      snapshot.tree_file.empty() ? std::nullopt : read_tree_file(snapshot.tree_file);
  if (listing) {
    compare(state, snapshot, *listing);
  } else {
    find_unreadable(state, snapshot.folder);
  }
  if (state.tokenizer_defect.empty()) {
    const std::string problem = file_problem(snapshot.folder / kTokenizerFile, std::nullopt);
    if (!problem.empty()) state.tokenizer_defect = std::string(kTokenizerFile) + ": " + problem;
  }
  if (state.defects.empty()) state.defects = check(snapshot.folder);
  return state;
}

std::string join_defects(const std::vector<std::string>& defects) {
  std::string text;
  for (std::size_t i = 0; i < defects.size(); ++i) {
    if (i == kMaxListed) return text + " and " + std::to_string(defects.size() - i) + " more";
    text += (i > 0 ? "; " : "") + defects[i];
  }
  return text;
}

}  // namespace zimage::hub
