// The options that several commands share, and those of the commands that look after models.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "cli/options/options.h"

namespace zimage::cli {

inline constexpr int kMaxThreads = 4096;

// Adds an option whose text goes to `take` as soon as it is parsed. The last of several counts.
CLI::Option* add_value(CLI::App& app, const std::string& names, const std::string& placeholder,
                       const std::function<void(const std::string&)>& take,
                       const std::string& help);
// The same for an option that is kept as it is.
CLI::Option* add_text(CLI::App& app, const std::string& names, const std::string& placeholder,
                      std::optional<std::string>& target, const std::string& help);

// Lets every flag of `app` and of its commands take `true` and `false` alone as a value. CLI11
// takes a dozen words, and says of others that they cannot be converted.
void check_flags(CLI::App& app);

// --revision, --cache-dir, and the model by the option or argument `names`.
void add_model(CLI::App& app, const std::string& names, ModelOptions& options);
// Those that name files in place of its parts.
void add_parts(CLI::App& app, ModelOptions& options);

// The sizes that a request may have, for help: "1x1 to 1048576x1048576".
std::string size_range();
// --size.
void add_size(CLI::App& app, DrawOptions& options);
// -n, --count.
void add_count(CLI::App& app, DrawOptions& options);

// How weights are loaded: --load, --weights, --weights-cache.
void add_loading(CLI::App& app, DrawOptions& options);

void add_models(CLI::App& app, ModelsOptions& options);
void add_verify(CLI::App& app, VerifyOptions& options);

}  // namespace zimage::cli
