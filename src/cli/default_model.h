// Which model a command uses.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace zimage::cli {

// Where a model may be when none is named.
struct ModelPlaces {
  std::optional<std::string> environment;  // $ZIMAGE_MODEL
  std::filesystem::path executable;   // the running program; its prefix may hold an installed model
  std::filesystem::path source_tree;  // of the build; empty when unknown

  static ModelPlaces of_this_process();
};

// The folder of the model `named` by the user, or the first that exists of: $ZIMAGE_MODEL (which
// must exist when it is set), <prefix>/share/zimage/models/zimage-tiny of the program's
// <prefix>/bin, and models/zimage-tiny in the source tree. Throws NotFound, listing the places.
std::filesystem::path find_model(const std::optional<std::string>& named,
                                 const ModelPlaces& places);

// The model's name for people: the folder's last component, symbolic links resolved, as UTF-8.
std::string model_name(const std::filesystem::path& folder);

}  // namespace zimage::cli
