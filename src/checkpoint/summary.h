// What a model folder holds, counted: what `zimage info` prints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace zimage {

struct FileSummary {
  std::string name;  // in the part's folder
  std::uint64_t bytes = 0;
};

struct PartSummary {
  std::string name;        // the folder's: "transformer"
  std::string class_name;  // from model_index.json: "ZImageTransformer2DModel"
  std::vector<FileSummary>
      files;  // of weights; of a part without weights, the file it is read from
  std::int64_t tensors = 0;
  std::int64_t parameters = 0;  // elements of all tensors
  std::uint64_t bytes = 0;      // of all tensors as stored
  // By name_of() their DType or QuantType; only those that occur.
  std::map<std::string, std::int64_t, std::less<>> parameters_of_dtype;
  std::set<std::string, std::less<>> quantized;  // of these names, the QuantTypes
};

struct CheckpointSummary {
  std::filesystem::path folder;
  std::string class_name;          // "ZImagePipeline"
  std::vector<PartSummary> parts;  // in the order of the data's path, tokenizer to vae
  PartSummary total;               // the sums; its names and files are empty
};

// Opens every part, reading headers only. Throws what Checkpoint::part throws.
CheckpointSummary summarize(const Checkpoint& checkpoint);

}  // namespace zimage
