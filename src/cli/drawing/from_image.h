// `--from-image`: a picture's own request behind the options of the command line.
#pragma once

#include <string>
#include <vector>

#include "cli/options/options.h"

namespace zimage::cli {

struct FromImage {
  GenerateOptions options;
  std::string model;               // by its name in the file; empty: the file says nothing
  std::vector<std::string> notes;  // for people: what of the file was not taken
};

// Without `from_image` the options as they are. With it every option that was not given is the
// file's: what is drawn, and on the same kind of device how exactly. The model is the command
// line's. Files that the picture began from are looked for beside it and in the current folder, and
// taken by their SHA-256.
// Throws what read_metadata throws, and NotFound for a file that the picture began from.
FromImage from_image(const GenerateOptions& options);

// The notes, and one more where a model of another name is to draw.
std::vector<std::string> source_notes(const FromImage& from, const std::string& model);

}  // namespace zimage::cli
