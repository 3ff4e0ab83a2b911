// The running process: its descriptors.
#pragma once

namespace zimage::cli {

// Opens /dev/null in place of standard input, output or error where the caller closed it, so that
// no file of ours takes its number and receives what is meant for it.
void fill_standard_descriptors();

}  // namespace zimage::cli
