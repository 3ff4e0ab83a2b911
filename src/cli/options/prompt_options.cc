// Names, help and grouping.
#include "cli/options/prompt_options.h"

#include "cli/options/model_options.h"
#include "cli/options/picture_options.h"
#include "cli/options/values.h"

namespace zimage::cli {

void add_prompt(CLI::App& app, GenerateOptions& options) {
  app.add_option(
         "-p,--prompt",
         [&options](const CLI::results_t& prompts) {
           options.prompts = prompts;
           options.prompt = prompts.back();
           return true;
         },
         "What to draw, in any language; may be empty. Given several times: each of them\n"
         "(required, or --prompt-file)")
      ->type_name("TEXT")
      ->type_size(1)
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_output(CLI::App& app, GenerateOptions& options) {
  add_text(app, "-o,--output", "PATH", options.output,
           "A file, or a folder for the default name zimage-SEED.png, .jpg or .webp; - is standard "
           "output.\n"
           "An existing file is kept: the next free name is taken. Of several pictures:\n"
           "name[-PROMPT][-SEED][-PICTURE].png, each part where there are several (default: the "
           "current\n"
           "folder)");
  add_format(app, options);
}

void add_seeds(CLI::App& app, GenerateOptions& options) {
  add_value(
      app, "--seed", "N",
      [&options](const std::string& text) {
        options.seed = parse_seed("--seed", text);
        options.seeds.clear();
      },
      "One seed, one picture, or --count of them (0 to 18446744073709551615; default: random, and\n"
      "printed)")
      ->group("Picture");
  add_value(
      app, "--rng", "KIND",
      [&options](const std::string& text) {
        const bool cpu = parse_choice("--rng", text, {"cpu", "cuda"}) == "cpu";
        options.rng = cpu ? RngKind::Cpu : RngKind::Cuda;
      },
      "Which of torch's generators the noise follows: cpu or cuda (default: cpu)")
      ->group("Picture");
}

void add_seed_list(CLI::App& app, GenerateOptions& options) {
  add_value(
      app, "--seeds", "SEEDS",
      [&options](const std::string& text) {
        options.seeds = parse_seeds("--seeds", text);
        options.seed.reset();
      },
      "Several, such as 1,2,5-9: each prompt is drawn with each of them (default: --seed)")
      ->group("Picture");
}

}  // namespace zimage::cli
