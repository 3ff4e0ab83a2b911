// `zimage models`: the hubs' caches in, a table out.
#pragma once

#include <string>

#include "cli/options/options.h"
#include "pipeline/model_list.h"

namespace zimage::cli {

// The table for people, each line ended: one row for each model, and below it its folder and what
// it lacks.
std::string models_table(const ModelList& list);
// The same as one line of JSON, without a newline.
std::string models_json(const ModelList& list);

// Prints one of the two to standard output, and what could not be listed to standard error.
void models(const ModelsOptions& options);

}  // namespace zimage::cli
