// What a user calls a model becomes the place where it lies.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/part_files.h"

namespace zimage {

struct ModelLocation {
  std::filesystem::path folder = {};
  // Files of parts, when they lie outside of `folder`; else empty. With all networks', `folder` may
  // be empty.
  std::filesystem::path tokenizer = {};
  std::filesystem::path transformer = {};
  std::filesystem::path text_encoder = {};
  std::filesystem::path vae = {};

  // What names the model: its folder, or its transformer's file.
  const std::filesystem::path& origin() const { return folder.empty() ? transformer : folder; }
  // What a checkpoint is opened with beside the folder.
  PartFiles part_files() const {
    return {.transformer = transformer,
            .text_encoder = text_encoder,
            .vae = vae,
            .tokenizer = tokenizer};
  }
};

struct ModelQuery {
  // A folder, one file of all parts, or OWNER/NAME or OWNER/NAME@REVISION; empty when `files` has
  // every network.
  std::string text;
  std::optional<std::string> revision = {};   // a branch, tag or commit of a hub
  std::optional<std::string> cache_dir = {};  // the only cache to look into
  std::string source = "--model";             // what named the model, for messages
  // Files in place of the model's own; the folder stays empty. A tokenizer may be its folder.
  ModelLocation files = {};
};

// A model's folder is taken as it is; the folder of one model in Hugging Face's cache gives its
// snapshot; of ComfyUI's folder of models the files that fit (pipeline/comfy_folder.h); a file must
// hold what `files` does not name; a name is looked for in the caches of ModelScope and Hugging
// Face (hub/cache_places.h), where it must be whole. A tokenizer that is then missing is taken from
// the published model's in the caches. What was chosen and warnings about the caches are logged.
// Throws InvalidArgument for what cannot be a model, and NotFound with every place that was looked
// at and why it was refused.
ModelLocation locate_model(const ModelQuery& query);

// What keeps a folder from being a whole model, the tokenizer apart: one sentence for each part,
// the paths in them relative to `folder`. Reads configurations and the weights' headers.
std::vector<std::string> check_model_folder(const std::filesystem::path& folder);

}  // namespace zimage
