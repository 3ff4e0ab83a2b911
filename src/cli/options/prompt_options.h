// The options of one request that only those who draw have: what, with which noise, and where to.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/options/options.h"

namespace zimage::cli {

// --prompt, as often as it is given.
void add_prompt(CLI::App& app, GenerateOptions& options);
// --output, --format, --quality.
void add_output(CLI::App& app, GenerateOptions& options);
// --seed, --rng.
void add_seeds(CLI::App& app, GenerateOptions& options);
// --seeds.
void add_seed_list(CLI::App& app, GenerateOptions& options);

}  // namespace zimage::cli
