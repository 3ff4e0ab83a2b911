// What goes into a folder, or into the one file of a part.
#include "convert/conversion_plan.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/quote.h"
#include "checkpoint/config_file.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/model_index.h"
#include "checkpoint/names.h"
#include "checkpoint/weight_files.h"
#include "convert/gguf_facts.h"
#include "convert/part_tensors.h"
#include "convert/plan_gguf.h"
#include "convert/plan_safetensors.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxTokenizerBytes = 64'000'000;

[[noreturn]] void refuse(const std::string& sentence) {
  throw Error(ErrorCode::InvalidArgument, sentence);
}

bool needs_gguf(TargetEncoding encoding) {
  return encoding != TargetEncoding::Bf16 && encoding != TargetEncoding::Fp8;
}

// By the end of the file's name.
std::optional<Container> container_of(const fs::path& file) {
  std::string extension = file.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension == ".safetensors") return Container::Safetensors;
  if (extension == ".gguf") return Container::Gguf;
  return std::nullopt;
}

FileFormat format_of(const ConvertSettings& settings, bool is_folder) {
  const TargetEncoding encoding = settings.encoding;
  const Container needed = needs_gguf(encoding) ? Container::Gguf : Container::Safetensors;
  const std::optional<Container> by_name = container_of(settings.out);
  if (is_folder && by_name) {
    refuse(
        "OUT: a file holds one part, and IN is a whole model: name the part with --part, or a "
        "folder to write");
  }
  if (!is_folder && !by_name && !settings.container) {
    refuse("OUT: expected a name that ends with .safetensors or .gguf, or --format, found " +
           quote(settings.out.string()));
  }
  const std::optional<Container> asked = settings.container ? settings.container : by_name;
  const FileFormat format{.encoding = encoding, .container = asked.value_or(needed)};
  const std::string to = "--to " + std::string(name_of(encoding));
  if (needs_gguf(encoding) && format.container != Container::Gguf)
    refuse(to + ": blocks of ggml are kept in GGUF files only; safetensors files take bf16 or fp8");
  if (encoding == TargetEncoding::Fp8 && format.container != Container::Safetensors)
    refuse(to + ": GGUF files have no such numbers; they take bf16, q8_0, q6_k, q5_k or q4_k");
  if (settings.part == "vae" &&
      (encoding != TargetEncoding::Bf16 || format.container == Container::Gguf))
    refuse("--part vae: the autoencoder is kept in bf16, in a .safetensors file: --to bf16");
  return format;
}

// The network that the file holds.
std::string part_of_file(const ConvertSettings& settings) {
  if (!settings.part.empty()) return settings.part;
  std::set<std::string> parts;
  const MappedFile mapped(settings.model);
  const StoredFile file = parse_weight_file(mapped.bytes(), settings.model.string());
  for (const StoredTensor& tensor : file.tensors) parts.emplace(network_of(tensor.name));
  parts.erase("");
  if (parts.size() == 1) return *parts.begin();
  const std::string name = quote(settings.model.string());
  if (parts.empty()) {
    throw Error(ErrorCode::InvalidFile,
                "IN: " + name + " holds no transformer, text encoder or autoencoder of Z-Image");
  }
  std::string found;
  for (const std::string& part : parts) found += (found.empty() ? "" : ", ") + part;
  refuse("IN: " + name + " holds " + found + ": name one with --part");
}

// The file that holds the tokenizer, or weights of which nobody knows.
fs::path tokenizer_file(const ConvertSettings& settings) {
  if (!settings.files.tokenizer.empty()) return settings.files.tokenizer;
  std::error_code ignored;
  if (fs::is_regular_file(settings.model, ignored)) return settings.model;
  return Checkpoint::open(settings.model, settings.files).tokenizer_file();
}

// Its tokenizer.json; null where there is none.
Json read_tokenizer(const ConvertSettings& settings) {
  const fs::path path = tokenizer_file(settings);
  const MappedFile mapped(path);
  if (is_gguf(mapped.bytes())) {
    const auto text =
        tokenizer_json(parse_gguf(mapped.bytes(), path.string()).metadata, path.string());
    return text ? parse_json(*text, path.string()) : Json();
  }
  if (path == settings.model) return {};
  return parse_json(read_file(path, kMaxTokenizerBytes), path.string());
}

// One file of quantized numbers, or of one part alone.
PlannedFile plan_file(const ConvertSettings& settings, const PlannedPart& planned,
                      const FileFormat& format, const std::string& path) {
  const CheckpointPart& part = planned.part;
  const bool is_llama = format.container == Container::Gguf && planned.name == "text_encoder";
  std::vector<PlannedTensor> tensors =
      part_tensors(planned.name, part, format, is_llama ? Naming::Llama : Naming::Native);
  const std::string config = part.config_is_inferred() ? "" : part.config_text();
  if (format.container == Container::Safetensors) {
    std::map<std::string, std::string> metadata = {{"format", "pt"}};
    if (!config.empty()) metadata["config"] = config;
    return plan_safetensors(path, std::move(tensors), metadata);
  }
  const GgufFacts facts =
      is_llama ? text_encoder_facts(part.config(), read_tokenizer(settings), format.encoding)
               : transformer_facts(config, format.encoding);
  return plan_gguf(path, std::move(tensors), facts);
}

std::string text_of(const Json& config) {
  return config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

// What a transformers' configuration says of its weights' type.
std::string config_for_bf16(const CheckpointPart& part) {
  Json config = parse_json(part.config_text(), part.config().name());
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (config.contains(key)) config[key] = "bfloat16";
  }
  return text_of(config);
}

// Every regular file of `folder` that is no weights'.
void copy_small_files(ConversionPlan& plan, const fs::path& folder, const std::string& below) {
  constexpr std::array<std::string_view, 7> kWeights = {
      ".safetensors", ".index.json", ".gguf", ".bin", ".pt", ".pth", ".ckpt"};
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool is_weights = std::ranges::any_of(
        kWeights, [&name](std::string_view end) { return name.ends_with(end); });
    std::error_code ignored;
    if (!is_weights && !name.starts_with('.') && entry->is_regular_file(ignored))
      plan.copies.emplace(below + name, entry->path());
  }
  if (error) throw Error(ErrorCode::NotFound, folder.string() + ": " + error.message());
}

void plan_part_of_folder(ConversionPlan& plan, const ConvertSettings& settings, PlannedPart planned,
                         const FileFormat& asked) {
  const std::string below = planned.name + "/";
  const std::string stem =
      below + (planned.name == "text_encoder" ? "model" : "diffusion_pytorch_model");
  const FileFormat plain{.encoding = TargetEncoding::Bf16, .container = Container::Safetensors};
  const FileFormat format = planned.name == "vae" ? plain : asked;
  if (settings.files.of(planned.name).empty()) {
    copy_small_files(plan, settings.model / planned.name, below);
  } else {
    plan.texts[below + "config.json"] = planned.part.config_text();
  }
  if (format.encoding == TargetEncoding::Bf16 && format.container == Container::Safetensors) {
    PlannedShards shards =
        plan_shards(stem, part_tensors(planned.name, planned.part, format, Naming::Library),
                    settings.max_shard_bytes);
    planned.files = std::move(shards.files);
    if (!shards.index.empty()) plan.texts[stem + ".safetensors.index.json"] = shards.index;
  } else {
    planned.files.push_back(
        plan_file(settings, planned, format, stem + "." + std::string(name_of(format.container))));
  }
  if (planned.name == "text_encoder") {
    plan.copies.erase(below + "config.json");
    plan.texts[below + "config.json"] = config_for_bf16(planned.part);
  }
  plan.parts.push_back(std::move(planned));
}

// What a folder holds beside its networks.
void plan_surroundings(ConversionPlan& plan, const Checkpoint& checkpoint) {
  const fs::path& folder = checkpoint.folder();
  if (folder.empty()) {
    plan.texts["model_index.json"] = text_of(to_json(published_model_index()));
    plan.texts["scheduler/scheduler_config.json"] = text_of(checkpoint.scheduler_config());
  } else {
    plan.copies.emplace("model_index.json", folder / "model_index.json");
    copy_small_files(plan, folder / "scheduler", "scheduler/");
  }
  const fs::path tokenizer = checkpoint.tokenizer_file();
  if (const auto text = checkpoint.tokenizer_of_gguf()) {
    plan.texts["tokenizer/tokenizer.json"] = *text;
  } else if (tokenizer.parent_path().filename() == "tokenizer") {
    copy_small_files(plan, tokenizer.parent_path(), "tokenizer/");
  } else {
    plan.copies.emplace("tokenizer/tokenizer.json", tokenizer);
  }
}

ConversionPlan plan_folder(const ConvertSettings& settings) {
  const FileFormat format = format_of(settings, true);
  const Checkpoint checkpoint = Checkpoint::open(settings.model, settings.files);
  ConversionPlan plan{.parts = {}, .texts = {}, .copies = {}, .is_folder = true};
  plan_surroundings(plan, checkpoint);
  for (const std::string_view name : kNetworks) {
    plan_part_of_folder(plan, settings,
                        {.name = std::string(name), .part = checkpoint.part(name), .files = {}},
                        format);
  }
  return plan;
}

CheckpointPart open_part(const ConvertSettings& settings, const std::string& name, bool is_file) {
  if (is_file) return CheckpointPart::open_file(settings.model, name, {});
  const fs::path folder = settings.model.empty() ? fs::path() : settings.model / name;
  const fs::path& file = settings.files.of(name);
  return file.empty() ? CheckpointPart::open(folder)
                      : CheckpointPart::open_file(file, name, folder);
}

ConversionPlan plan_single(const ConvertSettings& settings, bool is_file) {
  const FileFormat format = format_of(settings, false);
  const std::string name = is_file ? part_of_file(settings) : settings.part;
  CheckpointPart part = open_part(settings, name, is_file);
  ConvertSettings with_part = settings;
  with_part.part = name;
  static_cast<void>(format_of(with_part, false));
  PlannedPart planned{.name = name, .part = std::move(part), .files = {}};
  planned.files.push_back(plan_file(settings, planned, format, settings.out.filename().string()));
  ConversionPlan plan;
  plan.parts.push_back(std::move(planned));
  return plan;
}

}  // namespace

std::uint64_t ConversionPlan::weight_bytes() const {
  std::uint64_t bytes = 0;
  for (const PlannedPart& part : parts) {
    for (const PlannedFile& file : part.files) bytes += file.size;
  }
  return bytes;
}

ConversionPlan plan_conversion(const ConvertSettings& settings) {
  std::error_code ignored;
  if (fs::equivalent(settings.model, settings.out, ignored))
    refuse("OUT: " + quote(settings.out.string()) + " is IN itself");
  const bool is_file = fs::is_regular_file(settings.model, ignored);
  return is_file || !settings.part.empty() ? plan_single(settings, is_file) : plan_folder(settings);
}

}  // namespace zimage
