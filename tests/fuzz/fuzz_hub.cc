// Any bytes as what lies in a hub's cache, trees/COMMIT.json and refs/NAME, and as a model's name:
// either one Error, or values that cannot leave their folder.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "checks.h"
#include "hub/listing.h"
#include "hub/model_name.h"

namespace {

using zimage::fuzz::answer;
using zimage::fuzz::is_sum;
using zimage::fuzz::require;
using zimage::fuzz::stays_inside;

namespace hub = zimage::hub;

void read_tree(std::string_view text) {
  answer([&] {
    std::string_view last;
    for (const hub::ListedFile& file : hub::parse_tree_file(text, "input")) {
      require(stays_inside(file.path) && last < file.path);
      require(is_sum(file.sha256, 64) && is_sum(file.git_sha1, 40));
      require(file.sha256.empty() || file.git_sha1.empty());
      hub::is_needed(file.path);
      last = file.path;
    }
  });
}

void read_name(std::string_view text) {
  if (hub::is_inner_path(text)) require(stays_inside(text));
  if (hub::is_revision(text)) require(stays_inside(text) && hub::is_inner_path(text));
  if (hub::is_commit(text)) require(is_sum(text, 40));
  const auto name = hub::parse_model_name(text);
  if (!name) return;
  require(stays_inside(name->owner) && stays_inside(name->name));
  require(name->owner.find('/') == std::string::npos && name->name.find('/') == std::string::npos);
  require(!name->revision || stays_inside(*name->revision));
  // What was read is what was written.
  require(text == name->id() + (name->revision ? "@" + *name->revision : ""));
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_tree(text);
  read_name(text);
  return 0;
}
