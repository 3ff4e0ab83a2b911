// A request to convert becomes the list of everything that will be written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "convert/convert.h"
#include "convert/planned_file.h"

namespace zimage {

struct PlannedPart {
  std::string name;
  CheckpointPart part;  // what the tensors of `files` are views of
  std::vector<PlannedFile> files;
};

struct ConversionPlan {
  std::vector<PlannedPart> parts;
  std::map<std::string, std::string> texts;             // path below the output -> what it holds
  std::map<std::string, std::filesystem::path> copies;  // -> the file that is copied
  bool is_folder = false;

  std::uint64_t weight_bytes() const;
};

// Refuses what cannot be written so, with one sentence that says what can; opens the model and
// plans. Throws what convert() throws.
ConversionPlan plan_conversion(const ConvertSettings& settings);

}  // namespace zimage
