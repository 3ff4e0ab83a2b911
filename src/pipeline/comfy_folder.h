// ComfyUI's folder of models: diffusion_models/, text_encoders/ and vae/ hold the parts of many
// models side by side. Source: ComfyUI's folder_paths.py.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "pipeline/locate_model.h"

namespace zimage {

// The folder itself, or its models/ (of a ComfyUI checkout) or split_files/ (of Comfy-Org's
// downloads), whichever has the layout; nothing when none does.
std::optional<std::filesystem::path> find_comfy_folder(const std::filesystem::path& folder);

// The files in it that make a Z-Image model, judged by their headers, with `given` in place of
// those that it names; the chosen ones are logged. Of several files that fit, the one under the
// name that ComfyUI publishes is meant. `source` names who asked, for messages. Throws NotFound
// when a part has no file, InvalidArgument when several fit, naming them and the option that
// chooses.
ModelLocation locate_in_comfy_folder(const std::filesystem::path& folder,
                                     const ModelLocation& given, const std::string& source);

}  // namespace zimage
