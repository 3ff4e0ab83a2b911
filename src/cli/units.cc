// Picks the unit by size.
#include "cli/units.h"

#include <fmt/format.h>

#include "cli/progress.h"

namespace zimage::cli {

std::string bytes_text(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= (std::uint64_t{1} << 30)) return fmt::format("{:.2f} GiB", value / 0x1p30);
  if (bytes >= (std::uint64_t{1} << 20)) return fmt::format("{:.2f} MiB", value / 0x1p20);
  if (bytes >= (std::uint64_t{1} << 10)) return fmt::format("{:.2f} KiB", value / 0x1p10);
  return fmt::format("{} B", bytes);
}

std::string rate_text(double rate, std::uint64_t left) {
  return fmt::format("{}/s, {} left", bytes_text(static_cast<std::uint64_t>(rate)),
                     format_seconds(static_cast<double>(left) / rate));
}

}  // namespace zimage::cli
