// Whether a picture is there already: its place and its metadata in, the file out.
#pragma once

#include <filesystem>
#include <optional>

#include "cli/drawing/output_file.h"
#include "metadata/metadata.h"

namespace zimage::cli {

// The file at the output's name, or at one of the names that it would get where that is taken,
// which says that it is the picture of the very same request, number among its pictures included:
// every field but the version, the device and the CPU's kernels. Absent where there is none.
std::optional<std::filesystem::path> drawn_before(const OutputFile& output,
                                                  const Provenance& provenance);

}  // namespace zimage::cli
