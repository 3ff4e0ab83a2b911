// Any bytes as a hub's answers to `zimage pull`: either one Error, or files that cannot leave their
// folder and sums that are sums.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checks.h"
#include "download/remote_listing.h"

namespace {

using zimage::fuzz::answer;
using zimage::fuzz::is_sum;
using zimage::fuzz::require;
using zimage::fuzz::stays_inside;

namespace download = zimage::download;

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
  answer([text] { check(download::parse_tree_page(text, "input")); });
  answer([text] { check(download::parse_file_list(text, "input")); });
  answer([text] { require(is_sum(download::parse_commit(text, "input"), 40)); });
  require(download::next_page(text).size() <= size);
  return 0;
}
