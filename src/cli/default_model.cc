// Looks for the model that comes with the program.
#include "cli/default_model.h"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>

#include "base/error.h"
#include "base/quote.h"

namespace zimage::cli {
namespace {

constexpr const char* kDefaultName = "zimage-tiny";

bool is_folder(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

// A folder that somebody asked for; `source` is the option or variable that did.
std::filesystem::path required_folder(const char* source, const std::string& name) {
  if (name.empty()) {
    throw Error(ErrorCode::InvalidArgument,
                fmt::format("{}: expected a folder, found \"\"", source));
  }
  if (is_folder(name)) return name;
  std::error_code ignored;
  if (std::filesystem::exists(name, ignored)) {
    throw Error(ErrorCode::NotFound,
                fmt::format("{}: expected a model's folder, {} is none", source, quote(name)));
  }
  throw Error(ErrorCode::NotFound, fmt::format("{}: there is no folder {}", source, quote(name)));
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

std::filesystem::path find_model(const std::optional<std::string>& named,
                                 const ModelPlaces& places) {
  if (named) return required_folder("--model", *named);
  if (places.environment) return required_folder("ZIMAGE_MODEL", *places.environment);
  const std::filesystem::path installed =
      places.executable.parent_path().parent_path() / "share/zimage/models" / kDefaultName;
  const std::filesystem::path built = places.source_tree / "models" / kDefaultName;
  for (const auto& place : {installed, built}) {
    if (is_folder(place)) return place;
  }
  throw Error(
      ErrorCode::NotFound,
      fmt::format("no model: name one with --model or ZIMAGE_MODEL; the default was looked for in "
                  "{} and {}",
                  quote(installed.string()), quote(built.string())));
}

std::string model_name(const std::filesystem::path& folder) {
  std::error_code failed;
  const std::filesystem::path resolved = std::filesystem::canonical(folder, failed);
  const std::filesystem::path& path = failed ? folder : resolved;
  return printable((path.has_filename() ? path : path.parent_path()).filename().string());
}

}  // namespace zimage::cli
