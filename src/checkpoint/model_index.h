// model_index.json becomes the class of each part of a model. Follows diffusers' DiffusionPipeline.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/json.h"

namespace zimage {

// The parts that have weights, in the order of their stages.
inline constexpr std::array<std::string_view, 3> kNetworks = {"text_encoder", "transformer", "vae"};

// What ZImagePipeline is made of, in the order of the data's path; each has a folder of its name.
inline constexpr std::array<std::string_view, 5> kModelParts = {"tokenizer", "text_encoder",
                                                                "transformer", "scheduler", "vae"};

struct ModelIndex {
  std::string class_name;  // "ZImagePipeline"; empty when the file does not say
  // part -> class, "transformer" -> "ZImageTransformer2DModel"; has every name of kModelParts
  std::map<std::string, std::string, std::less<>> parts;
};

// Reads `folder`/model_index.json. Throws InvalidFile when it is not there, saying what a model
// folder holds and what was found, and when it describes another kind of model, naming the part
// that differs.
ModelIndex read_model_index(const std::filesystem::path& folder);

// The same from the file's JSON; `name` stands for the file in messages.
ModelIndex parse_model_index(const Json& document, const std::string& name);

// What the published model's says: for models that have no folder.
ModelIndex published_model_index();

// The text of model_index.json as JSON, each class with the library that has it.
Json to_json(const ModelIndex& index);

}  // namespace zimage
