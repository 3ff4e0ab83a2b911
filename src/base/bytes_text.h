// Numbers of bytes for people.
#pragma once

#include <cstdint>
#include <string>

namespace zimage {

// "11.46 GiB", "48.50 MiB", "912 B".
std::string bytes_text(std::uint64_t bytes);

}  // namespace zimage
