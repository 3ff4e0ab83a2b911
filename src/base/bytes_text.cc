// Picks the unit by size.
#include "base/bytes_text.h"

#include <array>
#include <cstdio>

namespace zimage {

std::string bytes_text(std::uint64_t bytes) {
  struct Unit {
    std::uint64_t bytes;
    const char* name;
  };
  constexpr std::array kUnits = {Unit{std::uint64_t{1} << 30, "GiB"},
                                 Unit{std::uint64_t{1} << 20, "MiB"},
                                 Unit{std::uint64_t{1} << 10, "KiB"}};
  for (const Unit& unit : kUnits) {
    if (bytes < unit.bytes) continue;
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.2f %s",
                  static_cast<double>(bytes) / static_cast<double>(unit.bytes), unit.name);
    return text.data();
  }
  return std::to_string(bytes) + " B";
}

}  // namespace zimage
