// `zimage generate`: a request in, a PNG file out.
#pragma once

#include "cli/interrupt.h"
#include "cli/options.h"

namespace zimage::cli {

// Draws and writes one picture, and prints its path (or the JSON line) to standard output. From the
// moment when the prompt is read, `interrupt` watches for signals.
// Throws what the parts throw; Cancelled after a signal.
void generate(const GenerateOptions& options, Interrupt& interrupt);

}  // namespace zimage::cli
