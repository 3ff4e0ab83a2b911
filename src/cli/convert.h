// `zimage convert`: a model or a part of it, written in another encoding.
#pragma once

#include <cstddef>
#include <string>

#include "cli/options/options.h"
#include "cli/terminal/interrupt.h"
#include "convert/convert.h"

namespace zimage::cli {

// Prints OUT's path, or one line of JSON. Throws what convert() and locate_model() throw.
void convert(const ConvertOptions& options, Interrupt& interrupt);

// "convert transformer, 1.20 GiB of 11.46 GiB, 350.00 MiB/s, 30 s left" in at most `columns`
// characters; the end is left out where there is no room.
std::string convert_line(const ConvertProgress& progress, double seconds, std::size_t columns);

}  // namespace zimage::cli
