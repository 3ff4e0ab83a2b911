// A command's prompts and seeds -> the requests to draw, each with the place that its pictures go
// to.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "cli/drawing/prompt_lines.h"
#include "cli/options/options.h"

namespace zimage::cli {

// One request of a command.
struct Task {
  std::string source = {};  // for messages: the prompt's, and the seed's where there are several
  GenerateOptions options = {};  // of one prompt and one seed; the output is a file
  // The folder that the output may not leave, where a line names it.
  std::optional<std::filesystem::path> confined_to = {};
};

// Tries the place of --output that several requests share; where none of them `uses` it, because
// each names a file of its own, only that its folder exists. Throws what OutputFile's constructor
// throws, and InvalidArgument for standard output, which takes one picture.
void check_shared_place(const GenerateOptions& command, bool uses);

// Names the files of the tasks of a command that has several.
//   NAME[-PROMPT][-SEED][-PICTURE].png: NAME is --output's, else "zimage"; PROMPT is the number of
//   the --prompt or of the file's line, where there may be several; SEED is there where the prompt
//   has several, or NAME is "zimage"; PICTURE, which OutputFile adds, where --count is not 1.
//   A line's own name stands in the folder of --output, without PROMPT.
class TaskNames {
 public:
  // `command` must outlive this.
  explicit TaskNames(const GenerateOptions& command);

  // Sets the output of a task of a line, whose seed and format are known. Throws InvalidArgument
  // for a name that another task has, and for one of a line's own that confined() refuses.
  void name(Task& task, const PromptLine& line);

 private:
  std::filesystem::path path_of(const Task& task, const PromptLine& line) const;

  const GenerateOptions& command_;
  std::filesystem::path folder_;
  bool names_folder_ = false;                           // --output is a folder, or absent
  std::map<std::filesystem::path, std::string> taken_;  // and by whom
};

// `name` in `folder`. Throws InvalidArgument unless it is the relative name of a regular file, or
// of none yet, that lies below the folder also when links are followed; NotFound where its folder
// does not exist.
std::filesystem::path confined(const std::filesystem::path& folder, const std::string& name);

}  // namespace zimage::cli
