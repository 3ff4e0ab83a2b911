// Facts about the running process.
#pragma once

#include <cstdint>

namespace zimage::cli {

// Bytes of memory that this program has occupied at most (resident set). Zero when the system does
// not tell.
std::uint64_t peak_memory();

}  // namespace zimage::cli
