// `zimage generate`: a request in, PNG files out.
#pragma once

#include "cli/interrupt.h"
#include "cli/options.h"

namespace zimage::cli {

// Draws and writes the request's pictures, and prints the path of each (or its JSON line) to
// standard output as soon as it is there. From the moment when the prompt is read, `interrupt`
// watches for signals.
// Throws what the parts throw; Cancelled after a signal.
void generate(const GenerateOptions& options, Interrupt& interrupt);

}  // namespace zimage::cli
