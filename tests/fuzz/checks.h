// What every fuzz target asks of the code under test.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace zimage::fuzz {

inline void require(bool condition) {
  if (!condition) std::abort();
}

// Calls `function`; an Error of one sentence is an answer, anything else ends the program.
template <typename Function>
void answer(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    require(std::string_view(error.what()).size() < 2000);
  }
}

// True when `path` below a folder still lies in it.
inline bool stays_inside(std::string_view path) {
  const std::filesystem::path whole = (std::filesystem::path("/folder") / path).lexically_normal();
  return whole.string().starts_with("/folder/") && !whole.string().ends_with("/");
}

// True when `text` is a sum of so many hexadecimal digits, or absent.
inline bool is_sum(std::string_view text, std::size_t digits) {
  return text.empty() || (text.size() == digits &&
                          text.find_first_not_of("0123456789abcdef") == std::string_view::npos);
}

}  // namespace zimage::fuzz
