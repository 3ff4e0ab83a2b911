// What is drawn and what its plan chose, in words for people.
#pragma once

#include <cstddef>
#include <string>

#include "pipeline/pipeline.h"

namespace zimage::cli {

// "48.5": MiB with one decimal.
std::string mebibytes(std::size_t bytes);
// What is drawn: "256x256, 8 steps, 4 pictures". Every default is filled in.
std::string size_text(const Request& request);
// What the plan chose: "every network stays loaded", ...
std::string choices_text(const Plan& plan);

}  // namespace zimage::cli
