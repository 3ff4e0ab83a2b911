// model_index.json becomes the class of each part of a model. Follows diffusers' DiffusionPipeline.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace zimage {

// What ZImagePipeline is made of; each has a folder of its name.
inline constexpr std::array<std::string_view, 5> kModelParts = {"scheduler", "text_encoder",
                                                                "tokenizer", "transformer", "vae"};

// part -> class name, "transformer" -> "ZImageTransformer2DModel". Has every name of kModelParts.
using PartClasses = std::map<std::string, std::string, std::less<>>;

// Reads `folder`/model_index.json. Throws InvalidFile when it is not there, saying what a model
// folder holds and what was found, and when it describes another kind of model, naming the part
// that differs.
PartClasses read_model_index(const std::filesystem::path& folder);

// The same from the file's text; `name` stands for the file in messages.
PartClasses parse_model_index(std::string_view text, const std::string& name);

}  // namespace zimage
