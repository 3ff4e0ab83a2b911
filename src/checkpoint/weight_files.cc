// Chooses files by name and by index.
#include "checkpoint/weight_files.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/quote.h"
#include "checkpoint/gguf.h"
#include "checkpoint/pickle.h"
#include "checkpoint/safetensors.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWeights = ".safetensors";
constexpr std::string_view kGguf = ".gguf";
constexpr std::string_view kIndex = ".safetensors.index.json";
// The real model's indices have 521 and 398 entries, 60 KB.
constexpr std::size_t kMaxIndexBytes = 32'000'000;
constexpr std::size_t kMaxListed = 8;

// "a, b and 3 more"
std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i == kMaxListed) return text + " and " + std::to_string(names.size() - i) + " more";
    text += (i > 0 ? ", " : "") + printable(names[i]);
  }
  return text;
}

// Sorted names; folders end with "/".
std::vector<std::string> entries(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    names.push_back(entry->path().filename().string() + (entry->is_directory(ignored) ? "/" : ""));
  }
  if (error) throw Error(ErrorCode::NotFound, folder.string() + ": " + error.message());
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> ending_with(std::string_view suffix,
                                     const std::vector<std::string>& names) {
  std::vector<std::string> found;
  std::ranges::copy_if(names, std::back_inserter(found),
                       [suffix](const std::string& name) { return name.ends_with(suffix); });
  return found;
}

bool is_plain_file_name(std::string_view name) {
  const auto is_plain = [](unsigned char c) {
    return c >= 0x20 && c != 0x7f && c != '/' && c != '\\';
  };
  return name.ends_with(kWeights) && !name.starts_with('.') && std::ranges::all_of(name, is_plain);
}

// How many files the name of a shard promises: 3 for "x-00001-of-00003.safetensors", else 1.
std::size_t promised_shards(std::string_view name) {
  const std::string_view stem = name.substr(0, name.size() - kWeights.size());
  const std::size_t at = stem.rfind("-of-");
  if (at == std::string_view::npos) return 1;
  std::size_t count = 0;
  for (const char digit : stem.substr(at + 4, 6)) {
    if (digit < '0' || digit > '9') return 1;
    count = count * 10 + static_cast<std::size_t>(digit - '0');
  }
  return count;
}

void check_shards_exist(const fs::path& folder, const WeightFiles& files) {
  std::string missing;
  std::size_t count = 0;
  for (const std::string& name : files.names) {
    std::error_code ignored;
    if (fs::exists(folder / name, ignored) || ++count > kMaxListed) continue;
    const auto needs = [&name](const auto& entry) { return entry.second == name; };
    missing += (missing.empty() ? "" : "; ") + (folder / name).string() + " is missing: it holds " +
               std::to_string(std::ranges::count_if(files.map, needs)) + " of " +
               std::to_string(files.map.size()) + " tensors, the first " +
               quote(std::ranges::find_if(files.map, needs)->first);
  }
  if (count == 0) return;
  if (count > kMaxListed)
    missing += "; " + std::to_string(count - kMaxListed) + " more are missing";
  throw Error(ErrorCode::NotFound, missing);
}

WeightFiles files_of_index(const fs::path& folder, const std::string& index) {
  WeightFiles files;
  files.index = folder / index;
  files.map = parse_weight_index(read_file(files.index, kMaxIndexBytes), files.index.string());
  for (const auto& [tensor, file] : files.map) files.names.push_back(file);
  std::ranges::sort(files.names);
  files.names.erase(std::unique(files.names.begin(), files.names.end()), files.names.end());
  check_shards_exist(folder, files);
  return files;
}

}  // namespace

WeightMap parse_weight_index(std::string_view text, const std::string& name) {
  const Json document = parse_json_unique(text, name);
  const JsonObject entries(document, name);
  const JsonObject map = entries.object("weight_map");
  WeightMap result;
  for (const auto& [tensor, file] : document["weight_map"].items()) {
    if (!file.is_string()) {
      throw Error(ErrorCode::InvalidFile, map.name() + ": " + quote(tensor) + " is " +
                                              file.type_name() + ", expected a file name");
    }
    const auto& file_name = file.get_ref<const std::string&>();
    if (!is_plain_file_name(file_name)) {
      throw Error(ErrorCode::InvalidFile, map.name() + ": " + quote(tensor) + " is in " +
                                              quote(file_name) +
                                              ", expected the plain name of a .safetensors file");
    }
    result.emplace(tensor, file_name);
  }
  if (result.empty()) throw Error(ErrorCode::InvalidFile, map.name() + " names no tensor");
  return result;
}

WeightFiles find_weight_files(const fs::path& folder) {
  const std::vector<std::string> names = entries(folder);
  const std::vector<std::string> indices = ending_with(kIndex, names);
  std::vector<std::string> weights = ending_with(kWeights, names);
  const auto unclear = [&folder](const std::string& finding) {
    return Error(ErrorCode::InvalidFile, folder.string() + ": " + finding);
  };
  if (indices.size() > 1) throw unclear("several indices, expected one: " + join(indices));
  if (indices.size() == 1) {
    WeightFiles files = files_of_index(folder, indices[0]);
    const std::string whole =
        indices[0].substr(0, indices[0].size() - kIndex.size()) + std::string(kWeights);
    if (std::ranges::binary_search(weights, whole) &&
        !std::ranges::binary_search(files.names, whole)) {
      throw unclear("holds both " + whole + " and " + indices[0] + ", expected one of them");
    }
    return files;
  }
  if (weights.empty()) {
    weights = ending_with(kGguf, names);
    if (weights.size() > 1) throw unclear("several GGUF files, expected one: " + join(weights));
    if (weights.size() == 1) return {.names = weights, .index = {}, .map = {}};
  }
  if (weights.size() > 1) {
    throw unclear("several safetensors files and no index that names them: " + join(weights));
  }
  if (weights.empty()) {
    const auto pickle = std::ranges::find_if(names, is_pickle_name);
    if (pickle != names.end()) {
      throw Error(ErrorCode::InvalidFile, pickle_refusal((folder / *pickle).string()));
    }
    throw Error(ErrorCode::NotFound,
                folder.string() + ": no weights, expected a .safetensors or .gguf file; found " +
                    list_folder(folder));
  }
  if (const std::size_t shards = promised_shards(weights[0]); shards > 1) {
    throw Error(ErrorCode::NotFound, folder.string() + ": " + weights[0] + " is one of " +
                                         std::to_string(shards) +
                                         " files; the others and their index are missing");
  }
  return {.names = weights, .index = {}, .map = {}};
}

StoredFile parse_weight_file(std::span<const std::byte> file, const std::string& name) {
  return is_gguf(file) ? parse_gguf(file, name) : parse_safetensors(file, name);
}

std::string list_folder(const fs::path& folder) {
  const std::vector<std::string> names = entries(folder);
  return names.empty() ? "nothing" : join(names);
}

}  // namespace zimage
