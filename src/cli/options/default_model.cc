// Looks for the model that comes with the program.
#include "cli/options/default_model.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <system_error>

#include "base/error.h"
#include "base/quote.h"
#include "hub/folder.h"

namespace zimage::cli {
namespace {

constexpr const char* kDefaultName = "zimage-tiny";

// Where the models that come with the program may lie: with an installed one, in the source tree.
std::array<std::filesystem::path, 2> places_of(const std::string& name, const ModelPlaces& places) {
  return {places.executable.parent_path().parent_path() / "share/zimage/models" / name,
          places.source_tree / "models" / name};
}

// NAME of "models--OWNER--NAME" or "OWNER--NAME"; empty for another folder.
std::string name_in_cache(const std::filesystem::path& storage) {
  const std::string name = storage.filename().string();
  const std::size_t dashes = name.rfind("--");
  return dashes == std::string::npos ? "" : name.substr(dashes + 2);
}

}  // namespace

ModelPlaces ModelPlaces::of_this_process() {
  ModelPlaces places;
  if (const char* value = std::getenv("ZIMAGE_MODEL"); value != nullptr && *value != '\0') {
    places.environment = value;
  }
  std::error_code ignored;
  places.executable = std::filesystem::read_symlink("/proc/self/exe", ignored);
  places.source_tree = ZIMAGE_SOURCE_TREE;
  return places;
}

ModelQuery model_query(const ModelOptions& options, const ModelPlaces& places) {
  if (options.name || places.environment) {
    return {.text = options.name ? *options.name : *places.environment,
            .revision = options.revision,
            .cache_dir = options.cache_dir,
            .source = options.name ? "--model" : "ZIMAGE_MODEL"};
  }
  if (options.revision) {
    throw Error(ErrorCode::InvalidArgument,
                "--revision: the default model has no revisions; name a model with --model");
  }
  const auto [installed, built] = places_of(kDefaultName, places);
  for (const auto& place : {installed, built}) {
    if (hub::is_folder(place)) return {.text = place.string()};
  }
  throw Error(
      ErrorCode::NotFound,
      fmt::format("no model: name one with --model or ZIMAGE_MODEL; the default was looked for in "
                  "{} and {}",
                  quote(installed.string()), quote(built.string())));
}

ModelLocation find_model(const ModelOptions& options, const ModelPlaces& places) {
  const bool files_suffice = options.transformer && options.text_encoder && options.vae &&
                             !options.name && !places.environment && !options.revision;
  ModelQuery query = files_suffice ? ModelQuery{.text = "", .cache_dir = options.cache_dir}
                                   : model_query(options, places);
  query.files = {.tokenizer = options.tokenizer.value_or(""),
                 .transformer = options.transformer.value_or(""),
                 .text_encoder = options.text_encoder.value_or(""),
                 .vae = options.vae.value_or("")};
  return locate_model(query);
}

std::filesystem::path find_config(const std::string& name, const ModelPlaces& places) {
  const auto [installed, built] = places_of(name, places);
  for (const auto& place : {std::filesystem::path(name), installed, built}) {
    if (!name.empty() && hub::is_folder(place)) return place;
  }
  throw Error(
      ErrorCode::NotFound,
      fmt::format("--config: there is no configuration {}; it was looked for as a folder, in "
                  "{} and in {}",
                  quote(name), quote(installed.string()), quote(built.string())));
}

ModelLocation find_model_or_config(const ModelOptions& options,
                                   const std::optional<std::string>& config,
                                   const ModelPlaces& places) {
  if (config) return {.folder = find_config(*config, places)};
  return find_model(options, places);
}

std::string model_name(const std::filesystem::path& folder) {
  std::error_code failed;
  const std::filesystem::path resolved = std::filesystem::canonical(folder, failed);
  std::filesystem::path path = failed ? folder : resolved;
  if (!path.has_filename()) path = path.parent_path();
  if (path.parent_path().filename() == "snapshots") {
    const std::string name = name_in_cache(path.parent_path().parent_path());
    if (!name.empty()) return printable(name);
  }
  return printable(path.filename().string());
}

}  // namespace zimage::cli
