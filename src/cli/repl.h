// `zimage repl`: lines in, picture files out, with the model kept loaded between them.
#pragma once

#include "cli/options/options.h"
#include "cli/terminal/interrupt.h"

namespace zimage::cli {

// Draws each line of standard input, obeys those that begin with "/", and goes on after one that
// fails, until the input ends. Returns the exit code: 0; 1 when standard input is no terminal and a
// line failed; 130 after Ctrl-C twice at the prompt.
// Throws what opening the first model throws; Cancelled after a signal that ends the program.
int repl(const ReplOptions& options, Interrupt& interrupt);

}  // namespace zimage::cli
