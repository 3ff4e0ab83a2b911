// What memory there is, and what of it the running process occupies, as the system counts it.
#pragma once

#include <cstddef>

namespace zimage {

// Bytes of memory that this process occupies now (resident set: its own, and the pages of files it
// has mapped and read). Zero when the system does not tell.
std::size_t resident_memory();

// The most that it has occupied since the program started.
std::size_t peak_resident_memory();

// Bytes that processes could take without making the system swap; the limits of a container are not
// looked at. The largest number when the system does not tell.
std::size_t available_memory();

}  // namespace zimage
