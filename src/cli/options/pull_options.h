// The options of `zimage pull`.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "cli/options/options.h"

namespace zimage::cli {

// What is checked when all options are known.
struct PullText {
  std::string name;
  std::optional<std::string> revision;
};

void add_pull(CLI::App& app, PullOptions& options, PullText& text);
// `options` with the name and revision of `text`. Throws InvalidArgument.
PullOptions pull_options(PullOptions options, const PullText& text);

}  // namespace zimage::cli
