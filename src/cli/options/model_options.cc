// Names, help and grouping of the options of models and caches.
#include "cli/options/model_options.h"

#include <fmt/format.h>

#include "base/quote.h"
#include "cli/options/values.h"
#include "pipeline/request_limits.h"

namespace zimage::cli {
namespace {

constexpr const char* kModelsFooter =
    "Lists every model in the caches of ModelScope and Hugging Face, Z-Image or not: its name,\n"
    "revision, size, dtypes, and what it lacks to be drawn with.\n"
    "\n"
    "Exit codes: 0 listed (also when there is none), 1 failed, 2 usage.\n";

constexpr const char* kVerifyFooter =
    "Examples:\n"
    "  zimage verify Tongyi-MAI/Z-Image-Turbo\n"
    "  zimage verify ~/models/Z-Image-Turbo --deep\n"
    "  zimage verify ae.safetensors --deep --json\n"
    "\n"
    "Compares sizes with the hub's listing and safetensors headers with their files; --deep also\n"
    "computes the sums that the hub, its blobs' names or the publisher give. Nothing is changed.\n"
    "\n"
    "Exit codes: 0 nothing wrong was found, 3 something is damaged or missing, 1 there is nothing "
    "to\n"
    "check or it cannot be read, 2 usage, 129 / 130 / 143 ended by SIGHUP / SIGINT / SIGTERM.\n";

void add_cache_dir(CLI::App& app, std::optional<std::string>& target) {
  add_text(app, "--cache-dir", "FOLDER", target,
           "The only cache to look into, of either hub (default: where their clients keep theirs)");
}

}  // namespace

CLI::Option* add_value(CLI::App& app, const std::string& names, const std::string& placeholder,
                       const std::function<void(const std::string&)>& take,
                       const std::string& help) {
  return app.add_option_function<std::string>(names, take, help)
      ->type_name(placeholder)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

CLI::Option* add_text(CLI::App& app, const std::string& names, const std::string& placeholder,
                      std::optional<std::string>& target, const std::string& help) {
  return add_value(
      app, names, placeholder, [&target](const std::string& text) { target = text; }, help);
}

void check_flags(CLI::App& app) {
  const auto check = [](const std::string& text) {
    return text == "true" || text == "false"
               ? std::string()
               : fmt::format("expected true or false, found {}", quote(text));
  };
  for (CLI::Option* option : app.get_options()) {
    if (option->get_expected_max() == 0) option->check(check);
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; }))
    check_flags(*command);
}

std::string size_range() {
  const std::string most = std::to_string(kMaxPixels);
  return "1x1 to " + most + "x" + most;
}

void add_model(CLI::App& app, const std::string& names, ModelOptions& options) {
  add_text(
      app, names, "MODEL", options.name,
      "The model's folder, ComfyUI's models/ folder, one file of all parts, or its name on\n"
      "ModelScope and Hugging Face, OWNER/NAME or OWNER/NAME@REVISION, which is looked for in\n"
      "their caches (default: $ZIMAGE_MODEL, then the model that comes with zimage)");
  add_text(app, "--revision", "REVISION", options.revision,
           "The name's branch, tag or commit (default: the hub's)");
  add_cache_dir(app, options.cache_dir);
}

void add_parts(CLI::App& app, ModelOptions& options) {
  add_text(app, "--transformer", "FILE", options.transformer,
           "A safetensors or GGUF file in place of the model's transformer (default: none)")
      ->group("Parts");
  add_text(app, "--text-encoder", "FILE", options.text_encoder,
           "The same for the text encoder; of GGUF also its tokenizer (default: none)")
      ->group("Parts");
  add_text(app, "--vae", "FILE", options.vae, "The same for the autoencoder (default: none)")
      ->group("Parts");
  add_text(
      app, "--tokenizer", "FILE", options.tokenizer,
      "A tokenizer.json, its folder, or a GGUF file that holds a tokenizer (default: the text\n"
      "encoder's own, else the model's)")
      ->group("Parts");
}

void add_size(CLI::App& app, DrawOptions& options) {
  add_value(
      app, "--size", "WxH",
      [&options](const std::string& text) {
        const Size size = parse_size("--size", text);
        options.width = size.width;
        options.height = size.height;
      },
      "Width and height at once (" + size_range() + "; default: by --width and --height)")
      ->group("Picture");
}

void add_count(CLI::App& app, DrawOptions& options) {
  add_value(
      app, "-n,--count", "N",
      [&options](const std::string& text) {
        options.count = parse_small_count("--count", text, static_cast<int>(kMaxCount));
      },
      "Pictures of the prompt: drawn at once, or as many at once as fit (1 to " +
          std::to_string(kMaxCount) + "; default: 1)")
      ->group("Picture");
}

void add_loading(CLI::App& app, DrawOptions& options) {
  add_value(
      app, "--load", "MODE",
      [&options](const std::string& text) {
        const bool maps = parse_choice("--load", text, {"mmap", "preload"}) == "mmap";
        options.load = maps ? LoadMode::Map : LoadMode::Preload;
      },
      "How weight files are read: mmap, as their pages are touched, or preload, ahead of that by\n"
      "several requests at a time (default: mmap)")
      ->group("Machine");
  add_value(
      app, "--weights", "TYPE",
      [&options](const std::string& text) {
        const bool stored = parse_choice("--weights", text, {"stored", "bf16"}) == "stored";
        options.weights = stored ? WeightType::Stored : WeightType::Bf16;
      },
      "How matrices of float32 files are held: as stored, or in bf16, which takes half the memory "
      "and\nis exact where the numbers were bf16's (default: stored)")
      ->group("Machine");
  add_text(app, "--weights-cache", "FOLDER", options.weights_cache,
           "Keep loaded weights in this folder, as large as they are in memory: the next start "
           "maps\nthem in place of loading (CPU; default: none)")
      ->group("Machine");
}

void add_models(CLI::App& app, ModelsOptions& options) {
  add_cache_dir(app, options.cache_dir);
  app.add_flag("--json", options.json, "Print one line of JSON");
  app.footer(kModelsFooter);
}

void add_verify(CLI::App& app, VerifyOptions& options) {
  add_model(app, "-m,--model,MODEL", options.model);
  app.add_flag("--deep", options.deep, "Read every file and compare its sum with the hub's");
  add_value(
      app, "-t,--threads", "N",
      [&options](const std::string& text) {
        options.threads = parse_small_count("--threads", text, kMaxThreads);
      },
      "Files to read at once (1 to " + std::to_string(kMaxThreads) +
          "; default: one for each core this process may use)");
  app.add_flag_callback(
      "-q,--quiet", [&options] { options.verbosity = Verbosity::Quiet; }, "Print no progress");
  app.add_flag("--json", options.json, "Print one line of JSON");
  app.footer(kVerifyFooter);
}

}  // namespace zimage::cli
