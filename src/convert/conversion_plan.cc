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

// The parts that a file holds, by the names of its tensors.
std::set<std::string> parts_of_file(const fs::path& path) {
  const MappedFile mapped(path);
  const StoredFile file = parse_weight_file(mapped.bytes(), path.string());
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kSigns = {
      {{"cap_embedder.", "transformer"},
       {"embed_tokens.", "text_encoder"},
       {"token_embd.", "text_encoder"},
       {"decoder.conv_in.", "vae"},
       {"encoder.conv_in.", "vae"}}};
  std::set<std::string> parts;
  for (const StoredTensor& tensor : file.tensors) {
    const std::string bare = without_prefix(tensor.name);
    for (const auto& [sign, part] : kSigns) {
      if (bare.starts_with(sign)) parts.emplace(part);
    }
  }
  return parts;
}

std::string part_of_file(const ConvertSettings& settings) {
  if (!settings.part.empty()) return settings.part;
  const std::set<std::string> parts = parts_of_file(settings.model);
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

// tokenizer.json of the model; null where there is none.
Json read_tokenizer(const ConvertSettings& settings, bool is_folder) {
  fs::path path = settings.model;
  if (is_folder) {
    path = Checkpoint::open(settings.model, {.tokenizer = settings.tokenizer}).tokenizer_file();
  }
  if (is_folder && path.extension() == ".json")
    return parse_json(read_file(path, kMaxTokenizerBytes), path.string());
  const MappedFile mapped(path);
  if (!is_gguf(mapped.bytes())) return {};
  const auto text =
      tokenizer_json(parse_gguf(mapped.bytes(), path.string()).metadata, path.string());
  return text ? parse_json(*text, path.string()) : Json();
}

// One file of quantized numbers, or of one part alone.
PlannedFile plan_file(const ConvertSettings& settings, const PlannedPart& planned,
                      const FileFormat& format, const std::string& path) {
  const CheckpointPart& part = planned.part;
  const bool is_llama = format.container == Container::Gguf && planned.name == "text_encoder";
  std::vector<PlannedTensor> tensors =
      part_tensors(planned.name, part, format, is_llama ? Naming::Llama : Naming::Native);
  if (format.container == Container::Safetensors) {
    std::map<std::string, std::string> metadata = {{"format", "pt"}};
    if (const std::string config = part.config_text(); !config.empty()) metadata["config"] = config;
    return plan_safetensors(path, std::move(tensors), metadata);
  }
  std::error_code ignored;
  const GgufFacts facts =
      is_llama
          ? text_encoder_facts(part.config(),
                               read_tokenizer(settings, fs::is_directory(settings.model, ignored)),
                               format.encoding)
          : transformer_facts(part.config_text(), format.encoding);
  return plan_gguf(path, std::move(tensors), facts);
}

// What a transformers' configuration says of its weights' type.
std::string config_for_bf16(const fs::path& path) {
  Json config = read_config(path);
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (config.contains(key)) config[key] = "bfloat16";
  }
  return config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
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
  copy_small_files(plan, settings.model / planned.name, below);
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
    plan.texts[below + "config.json"] =
        config_for_bf16(settings.model / planned.name / "config.json");
  }
  plan.parts.push_back(std::move(planned));
}

ConversionPlan plan_folder(const ConvertSettings& settings) {
  const FileFormat format = format_of(settings, true);
  const Checkpoint checkpoint = Checkpoint::open(settings.model, {.tokenizer = settings.tokenizer});
  ConversionPlan plan{.parts = {}, .texts = {}, .copies = {}, .is_folder = true};
  plan.copies.emplace("model_index.json", settings.model / "model_index.json");
  copy_small_files(plan, settings.model / "scheduler", "scheduler/");
  copy_small_files(plan, checkpoint.tokenizer_file().parent_path(), "tokenizer/");
  for (const std::string_view name : kNetworks) {
    plan_part_of_folder(plan, settings,
                        {.name = std::string(name), .part = checkpoint.part(name), .files = {}},
                        format);
  }
  return plan;
}

ConversionPlan plan_single(const ConvertSettings& settings, bool is_folder) {
  const FileFormat format = format_of(settings, false);
  const std::string name = is_folder ? settings.part : part_of_file(settings);
  CheckpointPart part = is_folder ? CheckpointPart::open(settings.model / name)
                                  : CheckpointPart::open_file(settings.model, name, {});
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
  const bool is_folder = fs::is_directory(settings.model, ignored);
  return is_folder && settings.part.empty() ? plan_folder(settings)
                                            : plan_single(settings, is_folder);
}

}  // namespace zimage
