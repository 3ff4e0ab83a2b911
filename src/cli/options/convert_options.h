// The options of `zimage convert`.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/options/options.h"

namespace zimage::cli {

void add_convert(CLI::App& app, ConvertOptions& options);

}  // namespace zimage::cli
