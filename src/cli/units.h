// Numbers of bytes for people.
#pragma once

#include <cstdint>
#include <string>

namespace zimage::cli {

// "11.46 GiB", "48.50 MiB", "912 B".
std::string bytes_text(std::uint64_t bytes);

// "1.00 MiB/s, 10 s left": what `left` bytes take at `rate` bytes a second, which is positive.
std::string rate_text(double rate, std::uint64_t left);

}  // namespace zimage::cli
