// The running process's descriptors: what is written leaves whole, or is an error.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace zimage::cli {

// Opens /dev/null in place of standard input, output or error where the caller closed it, so that
// no file of ours takes its number and receives what is meant for it.
void fill_standard_descriptors();

// Writes every byte. Zero, or the system's error.
int write_all(int descriptor, std::span<const std::uint8_t> bytes);

// Writes all of `text` to standard output. Throws Io.
void print_to_stdout(std::string_view text);

}  // namespace zimage::cli
