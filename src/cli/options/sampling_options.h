// The options of how a picture is sampled, which several commands share.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/options/options.h"

namespace zimage::cli {

// --steps, --sampler, --sigmas, --shift, --seed-variety.
void add_sampling(CLI::App& app, DrawOptions& options);
// --guidance, --negative, --cfg-normalization, --cfg-truncation.
void add_guidance(CLI::App& app, DrawOptions& options);

}  // namespace zimage::cli
