// `zimage info`: a model folder in, a table out.
#pragma once

#include <string>

#include "cli/options/options.h"
#include "pipeline/model_info.h"

namespace zimage::cli {

// The table for people, each line ended.
std::string info_table(const ModelInfo& model);
// The same as one line of JSON, without a newline.
std::string info_json(const ModelInfo& model);

// Prints one of the two to standard output. Throws what read_model_info throws.
void info(const InfoOptions& options);

}  // namespace zimage::cli
