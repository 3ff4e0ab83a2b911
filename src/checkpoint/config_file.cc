// Reads and parses, and refuses what is not an object.
#include "checkpoint/config_file.h"

#include <nlohmann/json.hpp>

#include "base/mapped_file.h"

namespace zimage {

Json read_config(const std::filesystem::path& path) {
  // The largest configuration of a model folder has 2 KB.
  constexpr std::size_t kMaxBytes = 1'000'000;
  Json config = parse_json(read_file(path, kMaxBytes), path.string());
  static_cast<void>(JsonObject(config, path.string()));
  return config;
}

}  // namespace zimage
