// Reads names and small files; nothing that a hub's client pickles.
#include "hub/records.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/mapped_file.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxMetadataBytes = 10'000;

// Adds `text` when it is a sum by its form.
void add(std::vector<SumRecord>& records, std::string_view text, const char* source) {
  const bool is_sha256 = is_hex(text, 64);
  if (!is_sha256 && !is_hex(text, 40)) return;
  const auto is_same = [text](const SumRecord& record) { return record.sum == text; };
  if (std::ranges::any_of(records, is_same)) return;
  records.push_back({.kind = is_sha256 ? DigestKind::Sha256 : DigestKind::GitBlob,
                     .sum = std::string(text),
                     .source = source});
}

// The second line of a metadata file: commit, ETag, time.
std::string recorded_etag(const fs::path& path) {
  try {
    const std::string text = read_file(path, kMaxMetadataBytes);
    const std::size_t begin = text.find('\n');
    if (begin == std::string::npos) return {};
    return text.substr(begin + 1, text.find('\n', begin + 1) - begin - 1);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

std::vector<SumRecord> records_of(const Snapshot& snapshot, const std::string& path,
                                  const Listing* listing) {
  std::vector<SumRecord> records;
  if (listing != nullptr) {
    const auto found = std::ranges::find(*listing, path, &ListedFile::path);
    if (found != listing->end()) {
      add(records, found->sha256, "the hub's listing");
      add(records, found->git_sha1, "the hub's listing");
    }
  }
  const fs::path file = snapshot.folder / path;
  std::error_code error;
  if (fs::is_symlink(file, error)) {
    const fs::path target = fs::read_symlink(file, error);
    if (!error && target.parent_path().filename() == "blobs") {
      add(records, target.filename().string(), "the blob's name");
    }
  }
  add(records,
      recorded_etag(snapshot.folder / ".cache/huggingface/download" / (path + ".metadata")),
      "the download's record");
  return records;
}

}  // namespace zimage::hub
