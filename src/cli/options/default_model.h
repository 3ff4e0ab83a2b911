// Which model a command uses.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cli/options/options.h"
#include "pipeline/locate_model.h"

namespace zimage::cli {

// Where a model may be when none is named.
struct ModelPlaces {
  std::optional<std::string> environment;  // $ZIMAGE_MODEL
  std::filesystem::path executable;   // the running program; its prefix may hold an installed model
  std::filesystem::path source_tree;  // of the build; empty when unknown

  static ModelPlaces of_this_process();
};

// The model that the user names, or the first that exists of: $ZIMAGE_MODEL (which must exist when
// it is set), <prefix>/share/zimage/models/zimage-tiny of the program's <prefix>/bin, and
// models/zimage-tiny in the source tree. Throws NotFound, listing the places, when there is no
// default model; InvalidArgument for a revision of the default model.
ModelQuery model_query(const ModelOptions& options, const ModelPlaces& places);

// Where that model lies, and the files that the user names for its parts; when they are all
// networks and no model is named, they are the model, which has no folder. Throws what locate_model
// throws as well.
ModelLocation find_model(const ModelOptions& options, const ModelPlaces& places);

// The folder of a model's configuration files: `name` as a path, else a folder of that name where
// models come with the program. Throws NotFound, listing the places.
std::filesystem::path find_config(const std::string& name, const ModelPlaces& places);

// Where a model of random weights lies: find_config() when there is a `config`, else find_model().
ModelLocation find_model_or_config(const ModelOptions& options,
                                   const std::optional<std::string>& config,
                                   const ModelPlaces& places);

// The model's name for people, as UTF-8: the folder's last component, symbolic links resolved; of a
// snapshot in a hub's cache ("models--OWNER--NAME/snapshots/..."), NAME.
std::string model_name(const std::filesystem::path& folder);

}  // namespace zimage::cli
