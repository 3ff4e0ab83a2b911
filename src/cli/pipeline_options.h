// The options of the command line as the library takes them.
#pragma once

#include "cli/options.h"
#include "pipeline/locate_model.h"
#include "pipeline/pipeline.h"

namespace zimage::cli {

// Of the commands that draw or plan, but random_weights.
PipelineOptions pipeline_options(const ModelLocation& place, const DrawOptions& options);

}  // namespace zimage::cli
