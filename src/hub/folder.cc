// Lists without throwing: what cannot be read is not there.
#include "hub/folder.h"

#include <algorithm>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/mapped_file.h"
#include "hub/model_name.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxRefBytes = 1000;
constexpr int kMaxDepth = 10;
constexpr std::size_t kMaxFiles = 100'000;

void add_files(std::vector<FolderFile>& files, const fs::path& folder, const std::string& prefix,
               int depth) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (files.size() >= kMaxFiles) return;
    const std::string name = entry->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code ignored;
    const bool is_link = entry->is_symlink(ignored);
    if (entry->is_directory(ignored)) {
      if (!is_link && depth < kMaxDepth) {
        add_files(files, entry->path(), prefix + name + "/", depth + 1);
      }
      continue;
    }
    FolderFile file{.path = prefix + name, .bytes = {}};
    if (entry->is_regular_file(ignored)) {
      const std::uintmax_t bytes = entry->file_size(ignored);
      if (!ignored) file.bytes = bytes;
    }
    files.push_back(std::move(file));
  }
}

}  // namespace

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_directory(ignored)) names.push_back(entry->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::vector<FolderFile> files_below(const fs::path& folder) {
  std::vector<FolderFile> files;
  add_files(files, folder, "", 0);
  std::ranges::sort(files, {}, &FolderFile::path);
  return files;
}

std::string read_word(const fs::path& path) {
  try {
    const std::string text = read_file(path, kMaxRefBytes);
    const std::size_t begin = text.find_first_not_of(" \t\r\n");
    if (begin == std::string::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
  } catch (const Error&) {
    return {};
  }
}

std::string recorded_revision(const fs::path& folder) {
  constexpr std::string_view kKey = "Revision:";
  const std::string text = read_word(folder / ".mv");
  if (!text.starts_with(kKey)) return {};
  std::string revision = text.substr(kKey.size(), text.find(',') - kKey.size());
  return is_revision(revision) ? revision : std::string();
}

}  // namespace zimage::hub
