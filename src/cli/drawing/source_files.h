// The files that a picture begins from: their paths in, what its metadata says of them out.
#pragma once

#include "cli/options/options.h"
#include "metadata/metadata.h"

namespace zimage::cli {

// Reads the files. Throws NotFound or Io.
SourceFiles source_files(const PictureOptions& options);

}  // namespace zimage::cli
