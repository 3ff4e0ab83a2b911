// `zimage pull`: a model's name in, its files on disk out.
#pragma once

#include <cstddef>
#include <string>

#include "cli/options/options.h"
#include "cli/terminal/interrupt.h"
#include "download/pull.h"

namespace zimage::cli {

// "fetch 3/19 files, 1.20 GiB of 30.62 GiB, 85.12 MiB/s, 6 min 10 s left", in at most `columns`
// characters; the rate is of what was fetched in `seconds`, and absent when nothing was.
std::string pull_line(const download::PullProgress& progress, double seconds, std::size_t columns);

// Prints the folder, or one line of JSON, to standard output. Throws what download::pull throws.
void pull(const PullOptions& options, Interrupt& interrupt);

}  // namespace zimage::cli
