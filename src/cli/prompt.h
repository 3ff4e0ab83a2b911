// The prompt, from wherever the user put it.
#pragma once

#include <istream>
#include <string>

#include "cli/options.h"

namespace zimage::cli {

// Throws InvalidArgument for text that is not UTF-8, naming the byte, or holds a zero byte.
// `source` stands for it in messages.
void check_prompt(const std::string& source, const std::string& text);

// The prompt of the options: its text, or the whole file (or `standard_input` for "-") less a
// byte-order mark and one newline at the end. Throws what check_prompt() throws; NotFound or Io for
// a file that cannot be opened or read; InvalidFile beyond 1 MiB.
std::string read_prompt(const GenerateOptions& options, std::istream& standard_input);

}  // namespace zimage::cli
