// The configuration of a part that is a file alone, in the terms of its config.json.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "checkpoint/scales.h"

namespace zimage {

// What the file's own metadata says of `part`: the text under "config" of safetensors files (the
// member of the part's name, in a file of several parts), or the keys of llama.cpp's Qwen3. Nothing
// where it is silent. `name` stands for the file in messages. Throws InvalidFile.
std::optional<Json> config_of_metadata(std::string_view part, const Json& metadata,
                                       const TensorMap& tensors, const std::string& name);

// From shapes, with the published model's numbers for what shapes do not tell. `part` is
// "transformer", "text_encoder" or "vae"; `tensors` by canonical name. Throws NotFound for a tensor
// that every such part has, and Unsupported for what is of another make than the published model.
Json config_of_shapes(std::string_view part, const TensorMap& tensors, const std::string& name);

// The published model's scheduler_config.json, for models without a folder.
Json published_scheduler_config();

}  // namespace zimage
