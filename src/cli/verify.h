// `zimage verify`: a model in, a verdict on each of its files out.
#pragma once

#include <string>

#include "cli/options/options.h"
#include "cli/terminal/interrupt.h"
#include "pipeline/verify_model.h"

namespace zimage::cli {

// The table for people, each line ended: a row for each file, what else is missing, and the sum.
std::string verify_table(const Verification& result);
// The same as one line of JSON, without a newline.
std::string verify_json(const Verification& result);

// Checks, and prints one of the two to standard output. True when nothing wrong was found. Throws
// what verify_model throws; Cancelled after a signal.
bool verify(const VerifyOptions& options, Interrupt& interrupt);

}  // namespace zimage::cli
