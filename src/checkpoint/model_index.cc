// Tells a Z-Image model from other folders.
#include "checkpoint/model_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/quote.h"
#include "checkpoint/config_file.h"
#include "checkpoint/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "model_index.json";

struct PartClass {
  std::string_view part;
  std::string_view name;
};

// What the engine computes. A tokenizer is known by its file instead of its class.
constexpr std::array kKnownClasses = {
    PartClass{"text_encoder", "Qwen3Model"},
    PartClass{"text_encoder", "Qwen3ForCausalLM"},
    PartClass{"transformer", "ZImageTransformer2DModel"},
    PartClass{"scheduler", "FlowMatchEulerDiscreteScheduler"},
    PartClass{"vae", "AutoencoderKL"},
};

void check_class(const std::string& name, std::string_view part, const std::string& found) {
  std::string expected;
  for (const PartClass& known : kKnownClasses) {
    if (known.part != part) continue;
    if (known.name == found) return;
    expected += (expected.empty() ? "" : " or ") + std::string(known.name);
  }
  if (expected.empty()) return;
  throw Error(ErrorCode::InvalidFile, name + ": not a Z-Image model: " + quote(part) + " is " +
                                          quote(found) + ", expected " + expected);
}

std::string class_of(const JsonObject& index, std::string_view part) {
  const std::string key(part);
  const std::vector<std::string> words = index.strings(key.c_str());
  if (words.size() != 2) {
    throw Error(ErrorCode::InvalidFile, index.name() + ": " + quote(part) + " has " +
                                            std::to_string(words.size()) +
                                            " words, expected a library and a class");
  }
  check_class(index.name(), part, words[1]);
  return words[1];
}

}  // namespace

ModelIndex parse_model_index(const Json& document, const std::string& name) {
  const JsonObject object(document, name);
  ModelIndex index;
  index.class_name = object.string("_class_name", "");
  for (const std::string_view part : kModelParts) index.parts.emplace(part, class_of(object, part));
  return index;
}

ModelIndex read_model_index(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / kFile, ignored)) {
    std::string parts;
    for (const std::string_view part : kModelParts) parts += ", " + std::string(part) + "/";
    throw Error(ErrorCode::InvalidFile, folder.string() + ": not a model folder: expected " +
                                            kFile + parts + "; found " + list_folder(folder));
  }
  return parse_model_index(read_config(folder / kFile), (folder / kFile).string());
}

ModelIndex published_model_index() {
  ModelIndex index{.class_name = "ZImagePipeline", .parts = {{"tokenizer", "Qwen2Tokenizer"}}};
  // Of two classes of a part the first was placed.
  for (const PartClass& known : kKnownClasses) index.parts.emplace(known.part, known.name);
  return index;
}

Json to_json(const ModelIndex& index) {
  Json document{{"_class_name", index.class_name}};
  for (const auto& [part, name] : index.parts) {
    const bool is_text = part == "tokenizer" || part == "text_encoder";
    document[part] = {is_text ? "transformers" : "diffusers", name};
  }
  return document;
}

}  // namespace zimage
