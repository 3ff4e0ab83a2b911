// The running process: its memory, its descriptors.
#pragma once

#include <cstdint>

namespace zimage::cli {

// Bytes of memory that this program has occupied at most (resident set). Zero when the system does
// not tell.
std::uint64_t peak_memory();

// Opens /dev/null in place of standard input, output or error where the caller closed it, so that
// no file of ours takes its number and receives what is meant for it.
void fill_standard_descriptors();

}  // namespace zimage::cli
