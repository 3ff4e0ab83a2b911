// `zimage generate`: a request in, PNG files out.
#pragma once

#include "cli/options/options.h"
#include "cli/terminal/interrupt.h"

namespace zimage::cli {

// Draws and writes the pictures of every request, and prints the path of each (or its JSON line) to
// standard output as soon as it is there. From the moment when the prompt is read, `interrupt`
// watches for signals.
// The exit code: 0, or 4 where some of several requests could not be drawn, which it has reported.
// Throws what the parts throw; Cancelled after a signal, saying of several requests how they go on.
int generate(const GenerateOptions& options, Interrupt& interrupt);

}  // namespace zimage::cli
