// Prompts, from wherever the user put them: the command line, a file with one on each line, or
// objects of JSON with options of their own.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "cli/options/options.h"

namespace zimage::cli {

// One prompt of a command, with its options.
struct PromptLine {
  std::string source;                     // for messages: "prompts.txt:3", "--prompt 2"
  std::int64_t number = 1;                // of the line, or of the --prompt, from 1 on
  GenerateOptions options = {};           // the command's, and the line's in their place
  bool has_own_output = false;            // options.output is the line's
  std::optional<std::string> error = {};  // why there is nothing else
};

// Every prompt of the options, in their order: those of --prompt, or of the lines of a file (or
// `standard_input` for "-") that are neither empty nor begin with "#". A line that begins with "{",
// white space before it or not, is an object whose names are long options, with "_" for "-" as
// well. A line that is refused, by itself or by the options' parser, has an error. A byte-order
// mark and CR before LF are dropped. Throws NotFound or Io for a file that cannot be opened or
// read; InvalidFile for one beyond 64 MiB or without a prompt.
std::vector<PromptLine> read_prompts(const GenerateOptions& options, std::istream& standard_input);

}  // namespace zimage::cli
