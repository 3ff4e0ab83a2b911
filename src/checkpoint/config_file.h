// A small JSON file beside the weights, read whole.
#pragma once

#include <filesystem>

#include "base/json.h"

namespace zimage {

// The object in `path`. Throws NotFound, or InvalidFile for what is not a JSON object or is larger
// than 1 MB.
Json read_config(const std::filesystem::path& path);

}  // namespace zimage
