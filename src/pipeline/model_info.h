// What a model folder holds, without loading it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/locate_model.h"

namespace zimage {

struct ModelPart {
  std::string name;        // the folder's: "transformer"
  std::string class_name;  // from model_index.json: "ZImageTransformer2DModel"
  std::vector<std::pair<std::string, std::uint64_t>> files;  // name and bytes
  std::int64_t tensors = 0;
  std::int64_t parameters = 0;                               // elements of all tensors
  std::uint64_t bytes = 0;                                   // of all tensors as stored
  std::vector<std::pair<std::string, std::int64_t>> dtypes;  // name ("bf16") and parameters
  // Of these names the encodings that no device computes with: widened to bf16 when they are
  // loaded.
  std::vector<std::string> widened = {};
};

struct ModelInfo {
  std::filesystem::path folder;  // of a model of files alone, its transformer
  std::string class_name;        // "ZImagePipeline"
  std::vector<ModelPart> parts;  // in the order of the data's path, tokenizer to vae
  ModelPart total;               // the sums; its names and files are empty
};

// Reads configurations and headers, not the weights. Throws NotFound or InvalidFile.
ModelInfo read_model_info(const ModelLocation& location);

}  // namespace zimage
