// Which model becomes what, and where it goes.
#include "cli/options/convert_options.h"

#include "cli/options/model_options.h"
#include "cli/options/values.h"

namespace zimage::cli {
namespace {

constexpr const char* kConvertFooter =
    "Examples:\n"
    "  zimage convert ~/models/Z-Image-Turbo ~/models/Z-Image-Turbo-bf16 --to bf16\n"
    "  zimage convert Tongyi-MAI/Z-Image-Turbo turbo-q4 --to q4_k\n"
    "  zimage generate -m turbo-q4 -p \"a red apple\"\n"
    "  zimage convert Tongyi-MAI/Z-Image-Turbo z_image_q6.gguf --to q6_k --part transformer\n"
    "  zimage convert z_image_turbo_bf16.safetensors z_image_fp8.safetensors --to fp8\n"
    "\n"
    "A whole model becomes a folder that -m opens: bf16 as diffusers saves it; of other encodings\n"
    "one file for the transformer and one for the text encoder, the rest in bf16 or copied. One\n"
    "part becomes one file, named as ComfyUI, stable-diffusion.cpp and llama.cpp expect. fp8 is\n"
    "kept in safetensors, q8_0 to q4_k in GGUF (the text encoder's with the tokenizer), bf16 in\n"
    "both. Norms, biases, embeddings and the autoencoder are not quantized.\n"
    "\n"
    "Exit codes: 0 written, 1 failed, 2 usage (also when OUT exists), 129 / 130 / 143 ended by\n"
    "SIGHUP / SIGINT / SIGTERM. An OUT that is not whole is never left behind.\n";

TargetEncoding parse_encoding(const std::string& text) {
  for (const TargetEncoding encoding :
       {TargetEncoding::Bf16, TargetEncoding::Q80, TargetEncoding::Q6K, TargetEncoding::Q5K,
        TargetEncoding::Q4K, TargetEncoding::Fp8}) {
    if (name_of(encoding) == text) return encoding;
  }
  // Says which there are.
  parse_choice("--to", text, {"bf16", "q8_0", "q6_k", "q5_k", "q4_k", "fp8"});
  return TargetEncoding::Bf16;
}

}  // namespace

void add_convert(CLI::App& app, ConvertOptions& options) {
  app.add_option("IN", options.in,
                 "A model's folder or name, ComfyUI's models/ folder, or one file of weights\n"
                 "(safetensors or GGUF)")
      ->required()
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  app.add_option("OUT", options.out,
                 "The folder to make, or of one part the .safetensors or .gguf file")
      ->required()
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  add_value(
      app, "--to", "ENCODING",
      [&options](const std::string& text) { options.encoding = parse_encoding(text); },
      "bf16, q8_0, q6_k, q5_k, q4_k or fp8 (required)")
      ->required();
  add_value(
      app, "--format", "FORMAT",
      [&options](const std::string& text) {
        const bool is_gguf = parse_choice("--format", text, {"safetensors", "gguf"}) == "gguf";
        options.container = is_gguf ? Container::Gguf : Container::Safetensors;
      },
      "safetensors or gguf (default: by OUT's name, else what the encoding needs)");
  add_value(
      app, "--part", "PART",
      [&options](const std::string& text) {
        options.part = parse_choice("--part", text, {"transformer", "text_encoder", "vae"});
      },
      "Only the transformer, text_encoder or vae, as one file (default: the whole model)");
  add_text(app, "--tokenizer", "FILE", options.tokenizer,
           "The tokenizer.json of an IN that has none, or in place of its own (default: IN's)");
  add_text(app, "--revision", "REVISION", options.revision,
           "The name's branch, tag or commit (default: the hub's)");
  add_text(app, "--cache-dir", "FOLDER", options.cache_dir,
           "The only cache to look for the name in (default: where the hubs' clients keep theirs)");
  add_value(
      app, "--max-shard-size", "SIZE",
      [&options](const std::string& text) {
        options.max_shard_bytes = parse_bytes("--max-shard-size", text);
      },
      std::string("The most weights in one of a folder's safetensors files (") + kBytesRange +
          "; default: 5GB)");
  add_value(
      app, "-t,--threads", "N",
      [&options](const std::string& text) {
        options.threads = parse_small_count("--threads", text, kMaxThreads);
      },
      "Threads (1 to " + std::to_string(kMaxThreads) +
          "; default: one for each core this process may use)");
  app.add_flag("--force", options.force, "Replace a file, or a folder that holds a model");
  app.add_flag_callback(
         "-q,--quiet", [&options] { options.verbosity = Verbosity::Quiet; },
         "Print OUT's path and errors only")
      ->group("Messages");
  app.add_flag("--json", options.json, "Print one line of JSON instead of the path")
      ->group("Messages");
  app.footer(kConvertFooter);
}

}  // namespace zimage::cli
