// Strict: no blanks, signs or empty parts.
#include "pipeline/seed_list.h"

#include <set>

#include "base/whole_number.h"

namespace zimage {
namespace {

// Appends what one part of the list stands for. False where it stands for nothing.
bool append(std::vector<std::uint64_t>& seeds, std::string_view part) {
  const std::size_t dash = part.find('-');
  const auto first = whole_number<std::uint64_t>(part.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? first : whole_number<std::uint64_t>(part.substr(dash + 1));
  if (!first || !last || *first > *last || *last - *first >= kMaxSeeds - seeds.size()) return false;
  for (std::uint64_t i = 0; i <= *last - *first; ++i) seeds.push_back(*first + i);
  return true;
}

}  // namespace

std::optional<std::vector<std::uint64_t>> parse_seed_list(std::string_view text) {
  std::vector<std::uint64_t> seeds;
  while (true) {
    const std::size_t comma = text.find(',');
    if (!append(seeds, text.substr(0, comma))) return std::nullopt;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (std::set<std::uint64_t>(seeds.begin(), seeds.end()).size() != seeds.size())
    return std::nullopt;
  return seeds;
}

}  // namespace zimage
