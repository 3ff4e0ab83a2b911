// The hubs' caches become the list of the models in them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace zimage {

struct ListedModel {
  std::string name;      // OWNER/NAME
  std::string revision;  // a commit, or ModelScope's branch or tag; empty: not recorded
  std::vector<std::string> references;  // Hugging Face: the branches and tags that name it
  std::string hub;                      // "ModelScope" or "Hugging Face"
  std::string source;                   // what names its cache: "HF_HOME", "the default"
  std::filesystem::path folder;
  std::uint64_t bytes = 0;           // of its files, links followed
  std::vector<std::string> dtypes;   // of its weights, "f32", the most bytes first
  std::vector<std::string> defects;  // what keeps it from being drawn with; empty: complete
};

struct ModelList {
  std::vector<ListedModel> models;
  std::vector<std::filesystem::path> places;  // the caches, also those that do not exist
  // Places that cannot be listed, and models of which there is no file yet: a path and why.
  std::vector<std::pair<std::filesystem::path, std::string>> refusals;
};

// Everything in the caches of locate_model, whole or not, Z-Image or not. Reads headers, not the
// weights. Logs warnings about the caches.
ModelList list_models(const std::optional<std::string>& cache_dir);

}  // namespace zimage
