// The options of the command line as the library takes them.
#pragma once

#include <string>

#include "cli/options/options.h"
#include "pipeline/locate_model.h"
#include "pipeline/pipeline.h"

namespace zimage::cli {

// Of the commands that draw or plan, but random_weights.
PipelineOptions pipeline_options(const ModelLocation& place, const DrawOptions& options);

// What is to be drawn of `prompt`, seed and generator left at their defaults. Reads the pictures to
// begin from. Throws NotFound or InvalidFile, naming the file.
Request draw_request(const DrawOptions& options, std::string prompt);

}  // namespace zimage::cli
