// Text to a whole number. What enters: text of any origin; what leaves: the number that all of it
// is.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace zimage {

// The number that `text` is, when all of it is one in decimal digits that fits; no sign, no blanks.
template <typename Integer>
std::optional<Integer> whole_number(std::string_view text) {
  Integer value = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (text.empty() || text.front() == '-' || error != std::errc{} || stop != end)
    return std::nullopt;
  return value;
}

}  // namespace zimage
