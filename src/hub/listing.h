// A hub's list of what a revision holds: path, size and sums of each file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zimage::hub {

struct ListedFile {
  std::string path;  // relative, "/" between folders; cannot leave the model's folder
  std::uint64_t bytes = 0;
  std::string sha256;    // of the content, in lower case; empty when the hub does not say
  std::string git_sha1;  // of git's blob, "blob <bytes>\0" and the content; empty when not known
};

using Listing = std::vector<ListedFile>;  // sorted by path

// Reads trees/<commit>.json of Hugging Face's cache; `name` stands for it in messages. Throws
// InvalidFile, also for a path that leaves the folder, and Unsupported for another format_version.
// Source: huggingface_hub _tree_cache.py.
Listing parse_tree_file(std::string_view text, const std::string& name);

// The listing in `path`; nothing when there is no such file or it is of no use, which is logged.
std::optional<Listing> read_tree_file(const std::filesystem::path& path);

// True for a relative path of ordinary names: no "..", no empty component, no control character, no
// backslash.
bool is_inner_path(std::string_view path);

// True for the files that make the model run: model_index.json, configurations, safetensors and
// their indices of the networks, tokenizer/tokenizer.json, scheduler/scheduler_config.json.
bool is_needed(std::string_view path);

// The tokenizer's file, which may lie in another cache than the rest.
inline constexpr std::string_view kTokenizerFile = "tokenizer/tokenizer.json";

}  // namespace zimage::hub
