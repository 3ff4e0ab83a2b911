// Any bytes as a hub's answers to `zimage pull`: either one Error, or files that cannot leave their
// folder and sums that are sums.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "download/remote_listing.h"

namespace {

namespace download = zimage::download;

void require(bool condition) {
  if (!condition) std::abort();
}

// True when `path` below a folder still lies in it.
bool stays_inside(std::string_view path) {
  const std::filesystem::path whole = (std::filesystem::path("/folder") / path).lexically_normal();
  return whole.string().starts_with("/folder/") && !whole.string().ends_with("/");
}

bool is_sum(std::string_view text, std::size_t digits) {
  return text.empty() || (text.size() == digits &&
                          text.find_first_not_of("0123456789abcdef") == std::string_view::npos);
}

// Calls `parse`, and checks that it fails with a sentence if it does.
template <typename Parse>
void attempt(Parse parse) {
  try {
    parse();
  } catch (const zimage::Error& error) {
    require(std::string_view(error.what()).size() < 2000);
  }
}

void check(std::vector<download::RemoteFile> files) {
  for (const download::RemoteFile& file : files) {
    require(stays_inside(file.listed.path) && !file.listed.path.ends_with(".incomplete"));
    require(is_sum(file.listed.sha256, 64) && is_sum(file.listed.git_sha1, 40));
    require(is_sum(file.blob_id, 40) && is_sum(file.xet_hash, 64));
  }
  download::check_paths(files, "input");
  for (std::size_t i = 1; i < files.size(); ++i)
    require(files[i - 1].listed.path < files[i].listed.path);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  attempt([text] { check(download::parse_tree_page(text, "input")); });
  attempt([text] { check(download::parse_file_list(text, "input")); });
  attempt([text] { require(is_sum(download::parse_commit(text, "input"), 40)); });
  require(download::next_page(text).size() <= size);
  return 0;
}
