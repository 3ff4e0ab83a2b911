// What memory the running process occupies, as the system counts it.
#pragma once

#include <cstddef>

namespace zimage {

// Bytes of memory that this process occupies now (resident set: its own, and the pages of files it
// has mapped and read). Zero when the system does not tell.
std::size_t resident_memory();

// The most that it has occupied since the program started.
std::size_t peak_resident_memory();

}  // namespace zimage
