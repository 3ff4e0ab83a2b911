// Several seeds as people write them: "1,2,5-9" in, numbers out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace zimage {

// The most seeds of one list: more are a slip of the hand.
inline constexpr std::size_t kMaxSeeds = 10000;

// Numbers from 0 to 2^64 - 1 and ranges of them, lowest first, separated by commas, in the order in
// which they are written; nothing where `text` is no such list, or names a seed twice, or more than
// kMaxSeeds.
std::optional<std::vector<std::uint64_t>> parse_seed_list(std::string_view text);

}  // namespace zimage
