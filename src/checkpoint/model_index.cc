// Tells a Z-Image model from other folders.
#include "checkpoint/model_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/quote.h"
#include "checkpoint/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBytes = 1'000'000;
constexpr const char* kFile = "model_index.json";

// The classes that each part may have; a tokenizer is known by its own file instead.
const std::map<std::string_view, std::vector<std::string_view>> kClasses = {
    {"scheduler", {"FlowMatchEulerDiscreteScheduler"}},
    {"text_encoder", {"Qwen3Model", "Qwen3ForCausalLM"}},
    {"transformer", {"ZImageTransformer2DModel"}},
    {"vae", {"AutoencoderKL"}},
};

std::string class_of(const JsonObject& index, std::string_view part) {
  const std::string key(part);
  const std::vector<std::string> pair = index.strings(key.c_str());
  if (pair.size() != 2) {
    throw Error(ErrorCode::InvalidFile, index.name() + ": \"" + key + "\" has " +
                                            std::to_string(pair.size()) +
                                            " words, expected a library and a class");
  }
  const auto known = kClasses.find(part);
  if (known != kClasses.end() && std::ranges::find(known->second, pair[1]) == known->second.end()) {
    throw Error(ErrorCode::InvalidFile, index.name() + ": not a Z-Image model: \"" + key +
                                            "\" is " + quote(pair[1]) + ", expected \"" +
                                            std::string(known->second[0]) + "\"");
  }
  return pair[1];
}

}  // namespace

PartClasses parse_model_index(std::string_view text, const std::string& name) {
  const Json document = parse_json(text, name);
  const JsonObject index(document, name);
  PartClasses classes;
  for (const std::string_view part : kModelParts) classes.emplace(part, class_of(index, part));
  return classes;
}

PartClasses read_model_index(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / kFile, ignored)) {
    std::string parts;
    for (const std::string_view part : kModelParts) parts += ", " + std::string(part) + "/";
    throw Error(ErrorCode::InvalidFile, folder.string() + ": not a model folder: expected " +
                                            kFile + parts + "; found " + list_folder(folder));
  }
  return parse_model_index(read_file(folder / kFile, kMaxBytes), (folder / kFile).string());
}

}  // namespace zimage
