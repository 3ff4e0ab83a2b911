// What lies in the folders of a cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace zimage::hub {

// True for anything, also a dangling link.
bool is_there(const std::filesystem::path& path);

// True for a folder, or a link to one; false for what cannot be looked at.
bool is_folder(const std::filesystem::path& path);

// Names of the folders in `folder`, sorted; none when it cannot be read.
std::vector<std::string> folders_in(const std::filesystem::path& folder);

struct FolderFile {
  std::string path;                    // below the folder, "/" between folders
  std::optional<std::uint64_t> bytes;  // absent: a dangling link, or no regular file
};

// Every file below `folder`, sorted by path; links to files are followed, links to folders and
// names that begin with a dot (records of the hubs' clients) are left out. At most 10 folders deep
// and 100000 files.
std::vector<FolderFile> files_below(const std::filesystem::path& folder);

// A small file's text without the blanks at its ends; empty when it cannot be read.
std::string read_word(const std::filesystem::path& path);

// What ModelScope's older layouts record of themselves in .mv, "Revision:master,CreatedAt:...":
// the revision; empty when there is none.
std::string recorded_revision(const std::filesystem::path& folder);

}  // namespace zimage::hub
