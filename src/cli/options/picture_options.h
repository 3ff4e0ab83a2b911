// The options of the picture that a drawing begins from, which several commands share.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/options/options.h"

namespace zimage::cli {

// --init-image, --strength, --mask, --no-composite.
void add_pictures(CLI::App& app, PictureOptions& options);

// --allow-flat.
void add_allow_flat(CLI::App& app, DrawOptions& options);

// --from-image.
void add_from_image(CLI::App& app, GenerateOptions& options);

// --preview, --show, --terminal-graphics.
void add_show(CLI::App& app, ShowOptions& options);

// --format, --quality.
void add_format(CLI::App& app, GenerateOptions& options);

// FILE, --json.
void add_show_metadata(CLI::App& app, ShowMetadataOptions& options);

}  // namespace zimage::cli
