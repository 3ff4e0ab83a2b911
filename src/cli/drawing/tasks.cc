// Names, and the places that they may not leave.
#include "cli/drawing/tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/quote.h"
#include "cli/drawing/output_file.h"
#include "image/encode.h"

namespace zimage::cli {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::InvalidArgument, message);
}

bool is_folder(const std::optional<std::string>& output) {
  if (!output) return true;
  const std::filesystem::path path(*output);
  std::error_code ignored;
  return !path.has_filename() || std::filesystem::is_directory(path, ignored);
}

// The folder that the names of the pictures are in; empty: the current one.
std::filesystem::path folder_of_names(const std::optional<std::string>& output) {
  if (!output) return {};
  const std::filesystem::path path(*output);
  return is_folder(output) ? path : path.parent_path();
}

// The path with its links followed, where it exists.
std::filesystem::path real(const std::filesystem::path& path) {
  std::error_code failed;
  const std::filesystem::path result = std::filesystem::canonical(path, failed);
  if (failed) {
    throw Error(ErrorCode::NotFound,
                fmt::format("output: folder {}: {}", quote(path.string()), failed.message()));
  }
  return result;
}

bool is_below(const std::filesystem::path& path, const std::filesystem::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

}  // namespace

std::filesystem::path confined(const std::filesystem::path& folder, const std::string& name) {
  const std::filesystem::path path(name);
  const bool leaves = std::any_of(path.begin(), path.end(),
                                  [](const std::filesystem::path& part) { return part == ".."; });
  if (path.is_absolute() || leaves || !path.has_filename() || path.filename() == ".") {
    refuse(fmt::format("output: expected the name of a file in the output folder, found {}",
                       quote(name)));
  }
  // The names of pictures are printed, a line each.
  if (has_control_character(name)) {
    refuse(
        fmt::format("output: expected a name without control characters, found {}", quote(name)));
  }
  const std::filesystem::path whole = folder / path;
  const std::filesystem::path root = real(folder.empty() ? "." : folder);
  if (!is_below(real(whole.has_parent_path() ? whole.parent_path() : "."), root))
    refuse(fmt::format("output: {} is a link out of the output folder", quote(name)));
  std::error_code failed;
  const std::filesystem::file_status status = std::filesystem::symlink_status(whole, failed);
  if (status.type() == std::filesystem::file_type::none)
    refuse(fmt::format("output: {}: {}", quote(name), failed.message()));
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    refuse(fmt::format("output: {} is there, and no regular file", quote(name)));
  return whole;
}

void check_shared_place(const GenerateOptions& command, bool uses) {
  if (command.output == "-")
    refuse("--output: standard output takes one picture, found several prompts or seeds");
  if (uses) {
    const OutputFile tried(command.output, "zimage.png", Overwrite::Never);
  } else {
    const std::filesystem::path folder = folder_of_names(command.output);
    std::error_code ignored;
    if (!std::filesystem::is_directory(folder.empty() ? "." : folder, ignored)) {
      throw Error(ErrorCode::NotFound,
                  fmt::format("--output: there is no folder {}", quote(folder.string())));
    }
  }
}

TaskNames::TaskNames(const GenerateOptions& command)
    : command_(command),
      folder_(folder_of_names(command.output)),
      names_folder_(is_folder(command.output)) {}

std::filesystem::path TaskNames::path_of(const Task& task, const PromptLine& line) const {
  std::filesystem::path path;
  bool numbers_prompts = command_.prompt_file || command_.prompts.size() > 1;
  bool numbers_seeds = line.options.seeds.size() > 1;
  if (line.has_own_output) {
    path = confined(folder_, *line.options.output);
    numbers_prompts = false;
  } else if (names_folder_) {
    path = folder_ / "zimage";
    numbers_seeds = true;
  } else {
    path = *command_.output;
  }
  std::string name = path.stem().string();
  if (numbers_prompts) name += fmt::format("-{}", line.number);
  if (numbers_seeds) name += fmt::format("-{}", *task.options.seed);
  std::string extension = path.extension().string();
  if (extension.empty()) {
    extension = fmt::format(".{}", extension_of(task.options.format.value_or(PictureFormat::Png)));
  }
  return path.parent_path() / (name + extension);
}

void TaskNames::name(Task& task, const PromptLine& line) {
  const std::filesystem::path path = path_of(task, line);
  const auto [other, is_free] = taken_.emplace(path.lexically_normal(), task.source);
  if (!is_free) {
    refuse(fmt::format("output: {} is the picture of {}", quote(path.string()), other->second));
  }
  task.options.output = path.string();
  if (line.has_own_output) task.confined_to = folder_;
}

}  // namespace zimage::cli
