// The options' names, help and grouping, on CLI11; values are parsed by values.h.
#include "cli/options/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "cli/options/convert_options.h"
#include "cli/options/model_options.h"
#include "cli/options/picture_options.h"
#include "cli/options/prompt_options.h"
#include "cli/options/pull_options.h"
#include "cli/options/sampling_options.h"
#include "cli/options/values.h"
#include "pipeline/request_limits.h"

namespace zimage::cli {
namespace {

constexpr int kMaxRepeats = 1000;

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 failed, 2 the request has no meaning (usage), 4 of several pictures "
    "some\n"
    "could not be drawn, 129 / 130 / 143 ended by SIGHUP / SIGINT (Ctrl-C) / SIGTERM. A picture "
    "that\n"
    "is not whole is never left behind.";

constexpr const char* kMainFooter =
    "Examples:\n"
    "  zimage generate -p \"a red heart on a black background\"\n"
    "  zimage generate --help\n"
    "  zimage repl\n"
    "  zimage show-metadata heart.png\n"
    "  zimage info\n"
    "  zimage models\n"
    "  zimage verify Tongyi-MAI/Z-Image-Turbo --deep\n"
    "  zimage convert Tongyi-MAI/Z-Image-Turbo turbo-q4 --to q4_k\n"
    "  zimage bench --repeat 5\n";

constexpr const char* kGenerateFooter =
    "Examples:\n"
    "  zimage generate -p \"a red heart on a black background\"\n"
    "  zimage generate -p \"\xe4\xb8\x80\xe5\x8f\xaa\xe7\x99\xbd\xe7\x8c\xab\" --size 256x320 "
    "--seed 7 -o cat.png\n"
    "  zimage generate -p \"a red apple\" -p \"a pear\" --seeds 1,2,5-9 -o fruit.png\n"
    "  zimage generate -m ~/models/Z-Image-Turbo --prompt-file prompts.txt -o pictures/\n"
    "  zimage generate -m Tongyi-MAI/Z-Image-Turbo -p \"a green leaf\"\n"
    "  zimage generate -p \"a green leaf\" --json | jq .seconds\n"
    "  zimage generate -p \"a green leaf\" -n 4 -o leaf.png\n"
    "  zimage generate -p \"a yellow leaf\" --init-image leaf.png --strength 0.7\n"
    "  zimage generate -p \"a ladybird\" --init-image leaf.png --mask middle.png\n"
    "  zimage generate -p \"a green leaf\" -o - > leaf.png\n"
    "  zimage generate -p \"a green leaf\" -o leaf.webp --quality 80\n"
    "  zimage generate --from-image leaf.webp --steps 20 -o finer.png\n"
    "\n"
    "Each picture's path is printed to standard output, everything else to standard error. It\n"
    "carries the request, enough to draw it again: in a PNG as text chunks \"parameters\" and\n"
    "\"zimage\", else in EXIF.\n"
    "\n"
    "Of several prompts or seeds, what cannot be drawn is reported and the rest is drawn; a "
    "picture\n"
    "that is there already, of the very same request, is not drawn again, so that the same "
    "command\n"
    "goes on where it was stopped.\n"
    "\n";

constexpr const char* kReplFooter =
    "Examples:\n"
    "  zimage repl\n"
    "  zimage repl --size 256x256 --seed 7 -o pictures/\n"
    "  printf '%s\\n' \"a red apple\" \"/set steps 4\" \"a green leaf\" | zimage repl\n"
    "\n"
    "Keeps the model loaded and draws each line that is typed; /help lists what else a line can "
    "be.\n"
    "The options are the values to begin with. Lines that were typed come back with the arrow "
    "keys,\n"
    "in later runs too ($XDG_STATE_HOME/zimage/history). Ctrl-C stops a picture, Ctrl-D ends. "
    "Lines\n"
    "of a file or a pipe are read to the end; the exit code is 1 if one of them failed.\n"
    "\n";

constexpr const char* kInfoFooter =
    "Examples:\n"
    "  zimage info\n"
    "  zimage info ~/models/Z-Image-Turbo --json\n";

constexpr const char* kBenchFooter =
    "Examples:\n"
    "  zimage bench\n"
    "  zimage bench --size 512x512 --steps 4 --repeat 5 -t 2 --json\n"
    "  zimage bench --size 512x512 --count 4\n"
    "  zimage bench --device cuda --config z-image-turbo --repeat 5\n"
    "\n"
    "Shares are of the device's best rate for matrix products, measured in the same run (f32 FMA "
    "on a\n"
    "CPU). Convolutions count as direct ones; Winograd's take fewer operations and can exceed 100 "
    "%.\n";

constexpr const char* kPlanFooter =
    "Examples:\n"
    "  zimage plan\n"
    "  zimage plan -m ~/models/Z-Image-Turbo --size 512x512,1024x1024,2048x1152 --json\n"
    "\n"
    "The total of a CPU is of the whole process, within 3 % of the peak that the system counts; of "
    "a\n"
    "card, of its own memory. \"other\" is what is neither of the three: the program, networks "
    "that\n"
    "stay from earlier stages, pixels, and pages of files that are being read.\n";

void add_machine_options(CLI::App& app, DrawOptions& options) {
  add_value(
      app, "-t,--threads", "N",
      [&options](const std::string& text) {
        options.threads = parse_small_count("--threads", text, kMaxThreads);
      },
      "Threads (1 to " + std::to_string(kMaxThreads) +
          "; default: one for each core this process may use)")
      ->group("Machine");
  add_value(
      app, "--cpu-kernel", "NAME",
      [&options](const std::string& text) {
        options.cpu_kernel =
            parse_choice("--cpu-kernel", text, {"best", "avx512", "avx2", "portable"});
      },
      "Which kernels compute on a CPU: avx512, avx2, portable, or best, the fastest for each kind\n"
      "of operation, measured at the first start (default: best)")
      ->group("Machine");
  add_value(
      app, "--device", "DEVICE",
      [&options](const std::string& text) { options.device = parse_device("--device", text); },
      "auto, cpu, cuda, or cuda:N for one of several (default: auto)")
      ->group("Machine");
  add_value(
      app, "--precision", "PRECISION",
      [&options](const std::string& text) {
        options.precision = parse_choice("--precision", text, {"auto", "exact", "bf16", "fast"});
      },
      "What the networks compute in: auto is bf16 on GPUs and exact on CPUs; exact is float32;\n"
      "bf16 also on CPUs that multiply it; fast rounds the transformer's products to integers, on\n"
      "CPUs (default: auto)")
      ->group("Machine");
  add_value(
      app, "--encoding", "ENCODING",
      [&options](const std::string& text) {
        options.encoding = parse_choice("--encoding", text, {"auto", "bf16", "fp8"});
      },
      "What the transformer multiplies: auto follows --precision, bf16, or fp8, which is faster "
      "and\n"
      "less exact (Hopper GPUs; default: auto)")
      ->group("Machine");
  add_value(
      app, "--keep", "PARTS",
      [&options](const std::string& text) { options.keep = parse_keep("--keep", text); },
      "Which networks stay loaded when their stage has ended: none, all, or auto, which is all if "
      "they\nfit the free memory (default: " +
          std::string(options.keep == Keep::Auto ? "auto" : "none") + ")")
      ->group("Machine");
  add_value(
      app, "--memory-limit", "SIZE",
      [&options](const std::string& text) {
        options.memory_limit = parse_bytes("--memory-limit", text);
      },
      std::string("The most memory to take, such as 12GiB; networks are released, blocks streamed "
                  "and the\npicture decoded in strips as it takes (") +
          kBytesRange + "; default: what is free)")
      ->group("Machine");
  add_loading(app, options);
}

// What is drawn, but for the prompt and what only some commands have.
void add_picture_options(CLI::App& app, DrawOptions& options) {
  const std::string pixels = "Pixels (1 to " + std::to_string(kMaxPixels) +
                             "; default: those of --init-image, else the model's)";
  add_value(
      app, "-W,--width", "N",
      [&options](const std::string& text) { options.width = parse_count("--width", text); }, pixels)
      ->group("Picture");
  add_value(
      app, "-H,--height", "N",
      [&options](const std::string& text) { options.height = parse_count("--height", text); },
      pixels)
      ->group("Picture");
  add_sampling(app, options);
  add_guidance(app, options);
  add_pictures(app, options.pictures);
  add_allow_flat(app, options);
  add_count(app, options);
}

void add_draw_options(CLI::App& app, DrawOptions& options) {
  add_model(app, "-m,--model", options.model);
  add_parts(app, options.model);
  add_picture_options(app, options);
  add_machine_options(app, options);
}

// All of `generate` but what says how many requests there are.
void add_drawing(CLI::App& app, GenerateOptions& options) {
  add_output(app, options);
  app.add_flag("--force", options.force,
               "Overwrite an existing file; of several pictures, draw also those that are there");
  add_draw_options(app, options.draw);
  add_size(app, options.draw);
  add_seeds(app, options);
  app.add_flag_callback(
         "-v,--verbose", [&options] { options.verbosity = Verbosity::Verbose; },
         "Print the device, the memory plan, each stage's time")
      ->group("Messages");
  app.add_flag_callback(
         "-q,--quiet", [&options] { options.verbosity = Verbosity::Quiet; },
         "Print the pictures' paths and errors only")
      ->group("Messages");
  app.add_flag("--json", options.draw.json,
               "Print one line of JSON for each picture instead of its path; of several requests\n"
               "also, with \"there\": true, for those that are there already and not drawn again")
      ->group("Messages");
}

void add_generate(CLI::App& app, GenerateOptions& options) {
  add_prompt(app, options);
  add_text(app, "--prompt-file", "FILE", options.prompt_file,
           "Draw the prompt of each line; a line can be JSON with options of its own, such as\n"
           "{\"prompt\": \"a pear\", \"seed\": 7}; - is standard input (required, or --prompt)");
  add_from_image(app, options);
  add_show(app, options.show);
  add_drawing(app, options);
  add_seed_list(app, options);
  app.footer(std::string(kGenerateFooter) + kExitCodes);
}

void add_repl(CLI::App& app, GenerateOptions& options) {
  options.draw.keep = Keep::Auto;  // it draws again and again
  add_show(app, options.show);
  add_drawing(app, options);
  app.footer(std::string(kReplFooter) + kExitCodes);
}

void add_info(CLI::App& app, InfoOptions& options) {
  add_model(app, "-m,--model,MODEL", options.model);
  add_parts(app, options.model);
  app.add_flag("--json", options.json, "Print one line of JSON");
  app.footer(kInfoFooter);
}

void add_config(CLI::App& app, std::optional<std::string>& config) {
  add_text(app, "--config", "NAME", config,
           "In place of --model: a model's size alone, with random weights; z-image-turbo, or a\n"
           "folder of configuration files (default: none)");
}

void add_bench(CLI::App& app, BenchOptions& options) {
  add_value(
      app, "-p,--prompt", "TEXT", [&options](const std::string& text) { options.prompt = text; },
      "What to draw (default: " + quote(options.prompt) + ")");
  add_value(
      app, "--repeat", "N",
      [&options](const std::string& text) {
        options.repeat = parse_small_count("--repeat", text, kMaxRepeats);
      },
      "Times to draw; the median of each stage counts (1 to " + std::to_string(kMaxRepeats) +
          "; default: " + std::to_string(options.repeat) + ")");
  add_config(app, options.config);
  app.add_flag("--random-weights", options.random_weights,
               "Fill the networks with random numbers: the model's configuration files suffice");
  options.draw.keep = Keep::Auto;  // it draws again and again
  add_draw_options(app, options.draw);
  add_size(app, options.draw);
  app.add_flag("--json", options.draw.json, "Print one line of JSON");
  app.footer(kBenchFooter);
}

void add_plan(CLI::App& app, PlanOptions& options) {
  add_value(
      app, "-p,--prompt", "TEXT", [&options](const std::string& text) { options.prompt = text; },
      "What would be drawn (default: " + quote(options.prompt) + ")");
  add_config(app, options.config);
  app.add_flag("--random-weights", options.random_weights,
               "Count random numbers in place of the model's files: its configuration suffices");
  add_draw_options(app, options.draw);
  add_value(
      app, "--size", "WxH,...",
      [&options](const std::string& text) { options.sizes = parse_sizes("--size", text); },
      "One or more sizes, separated by commas (" + size_range() +
          " each; default: by --width and --height)")
      ->group("Picture");
  app.add_flag("--json", options.draw.json, "Print one line of JSON");
  app.footer(kPlanFooter);
}

// CLI11 takes "--prompt=" for an option whose value follows; it is an option whose value is empty.
std::vector<std::string> with_empty_values(const std::vector<std::string>& arguments) {
  std::vector<std::string> result;
  for (const std::string& argument : arguments) {
    if (argument.starts_with("--") && argument.size() > 3 &&
        argument.find('=') == argument.size() - 1) {
      result.push_back(argument.substr(0, argument.size() - 1));
      result.emplace_back();
    } else {
      result.push_back(argument);
    }
  }
  return result;
}

// The command that was chosen, or `app` itself.
CLI::App& chosen(CLI::App& app) {
  return app.get_subcommands().empty() ? app : *app.get_subcommands().front();
}

[[noreturn]] void refuse_extra(CLI::App& app) {
  CLI::App& command = chosen(app);
  const std::string extra = app.remaining(true).front();
  const std::string name = extra.substr(0, extra.find('='));
  const bool is_option = extra.size() > 1 && extra.front() == '-';
  std::vector<std::string> candidates;
  if (is_option) {
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& long_name : option->get_lnames())
        candidates.push_back("--" + long_name);
    }
  } else if (&command == &app) {
    for (const CLI::App* subcommand : app.get_subcommands([](CLI::App*) { return true; })) {
      candidates.push_back(subcommand->get_name());
    }
  }
  const char* kind = is_option ? "option" : &command == &app ? "command" : "argument";
  std::string message = fmt::format("unknown {} {}", kind, quote(is_option ? name : extra));
  if (const auto meant = closest(name, candidates)) {
    message += fmt::format("; did you mean {}?", *meant);
  } else if (!is_option && command.get_name() == "generate") {
    message += "; the prompt goes in quotes after -p";
  }
  const std::string path = &command == &app ? "zimage" : "zimage " + command.get_name();
  throw Error(ErrorCode::InvalidArgument, fmt::format("{} (see {} --help)", message, path));
}

bool is_given(const CLI::App& command, const char* name) {
  const CLI::Option* option = command.get_option_no_throw(name);
  return option != nullptr && option->count() > 0;
}

constexpr std::pair<const char*, const char*> kExclusive[] = {
    {"--size", "--width"},    {"--size", "--height"},  {"--prompt", "--prompt-file"},
    {"--steps", "--sigmas"},  {"--config", "--model"}, {"--random-weights", "--weights-cache"},
    {"--quiet", "--verbose"}, {"--seed", "--seeds"}};

void check_exclusions(const CLI::App& command) {
  const auto given = [&command](const char* name) { return is_given(command, name); };
  for (const auto& [a, b] : kExclusive) {
    if (given(a) && given(b)) {
      throw Error(ErrorCode::InvalidArgument, fmt::format("{} and {} exclude each other", a, b));
    }
  }
}

// Options that mean nothing without another one.
void check_dependents(const CLI::App& command, const PictureOptions& pictures) {
  const bool has_request = is_given(command, "--from-image");  // which may hold what is missing
  const auto given = [&command](const char* name) { return is_given(command, name); };
  const auto refuse = [](const char* dependent, const char* other) {
    throw Error(ErrorCode::InvalidArgument,
                fmt::format("{} has no meaning without {}", dependent, other));
  };
  if (has_request) return;
  if (given("--strength") && !pictures.init_image) refuse("--strength", "--init-image");
  if (given("--mask") && pictures.mask && !pictures.init_image) refuse("--mask", "--init-image");
  if (given("--no-composite") && pictures.no_composite && !pictures.mask)
    refuse("--no-composite", "--mask");
}

void check_prompt(const CLI::App& command) {
  const auto given = [&command](const char* name) { return is_given(command, name); };
  if (command.get_name() == "generate" && !given("--prompt") && !given("--prompt-file") &&
      !given("--from-image")) {
    throw Error(ErrorCode::InvalidArgument,
                "a prompt is needed: -p TEXT or --prompt-file FILE (see zimage generate --help)");
  }
}

std::set<std::string> given_options(const CLI::App& command) {
  std::set<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0) continue;
    for (const std::string& name : option->get_lnames())
      names.insert(std::string("--").append(name));
  }
  return names;
}

// Hands the arguments to the options. Help or the version when one of them was asked for.
std::optional<ShowText> parse(CLI::App& app, const std::vector<std::string>& arguments) {
  check_flags(app);
  try {
    std::vector<std::string> reversed = with_empty_values(arguments);
    std::reverse(reversed.begin(), reversed.end());
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    return ShowText{app.help()};
  } catch (const CLI::CallForVersion& version_text) {
    return ShowText{std::string(version_text.what()) + "\n"};
  } catch (const CLI::ExtrasError&) {
    refuse_extra(app);
  } catch (const CLI::ArgumentMismatch&) {
    // Every option takes the last of several values, so only one mismatch is left: no value at the
    // end.
    throw Error(ErrorCode::InvalidArgument, arguments.back() + ": a value is needed");
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorCode::InvalidArgument, error.what());
  }
  return std::nullopt;
}

void set_up(CLI::App& app) {
  app.get_formatter()->column_width(26);
  app.set_help_flag("-h,--help", "Print this help");
  app.set_version_flag("--version", fmt::format("zimage {}", version()), "Print the version");
  app.footer(std::string(kMainFooter) + "\n" + kExitCodes);
}

void check_command(CLI::App& app) {
  if (&chosen(app) != &app) return;
  throw Error(
      ErrorCode::InvalidArgument,
      "a command is needed: generate, repl, show-metadata, info, plan, models, verify, pull, "
      "convert or bench (see zimage --help)");
}

// The longest of an option's names, without dashes.
std::string setting_name(const CLI::Option& option) {
  return option.get_lnames().empty() ? option.get_name() : option.get_lnames().front();
}

// What of a command line is to be changed later, option by option.
Settings settings_of(const CLI::App& app) {
  Settings settings;
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0) continue;
    const bool is_flag = option->get_expected_max() == 0;
    settings[setting_name(*option)] =
        is_flag ? std::nullopt : std::optional<std::string>(option->results().back());
  }
  return settings;
}

// What the commands' options are parsed into.
struct CommandOptions {
  GenerateOptions generate;
  GenerateOptions repl;
  InfoOptions info;
  BenchOptions bench;
  PlanOptions plan;
  ModelsOptions models;
  VerifyOptions verify;
  PullOptions pull;
  PullText pull_text;
  ConvertOptions convert;
  ShowMetadataOptions show_metadata;
};

struct CommandApps {
  CLI::App* generate;
  CLI::App* repl;
  CLI::App* info;
  CLI::App* bench;
  CLI::App* models;
  CLI::App* verify;
  CLI::App* pull;
  CLI::App* convert;
  CLI::App* plan;
  CLI::App* show_metadata;
};

// In the order in which the help lists them.
CommandApps add_commands(CLI::App& app, CommandOptions& options) {
  const auto add = [&](const char* name, const char* text) {
    return app.add_subcommand(name, text);
  };
  const CommandApps apps{
      .generate = add("generate", "Draw pictures from a prompt"),
      .repl = add("repl", "Draw one prompt after the other, with the model kept loaded"),
      .info = add("info", "Print a model's parts, sizes, dtypes and parameter counts"),
      .bench = add("bench", "Measure each stage against this machine's peak"),
      .models = add("models", "List the models in the hubs' caches"),
      .verify = add("verify", "Check a model's files for damage and for what is missing"),
      .pull = add("pull", "Fetch a model from Hugging Face or ModelScope"),
      .convert = add("convert", "Write a model, or a part of it, in another encoding"),
      .plan = add("plan", "Print the memory that pictures would need, loading nothing"),
      .show_metadata = add("show-metadata", "Print how a picture was drawn, as it says itself")};
  add_generate(*apps.generate, options.generate);
  add_repl(*apps.repl, options.repl);
  add_info(*apps.info, options.info);
  add_bench(*apps.bench, options.bench);
  add_plan(*apps.plan, options.plan);
  add_models(*apps.models, options.models);
  add_verify(*apps.verify, options.verify);
  add_pull(*apps.pull, options.pull, options.pull_text);
  add_convert(*apps.convert, options.convert);
  add_show_metadata(*apps.show_metadata, options.show_metadata);
  return apps;
}

}  // namespace

GenerateOptions drawing_options(const Settings& settings) {
  std::vector<std::string> arguments;
  for (const auto& [name, value] : settings)
    arguments.push_back("--" + name + (value ? "=" + *value : ""));
  GenerateOptions options;
  CLI::App app("", "zimage repl");
  add_repl(app, options);
  parse(app, arguments);
  check_exclusions(app);
  check_dependents(app, options.draw.pictures);
  return options;
}

std::vector<OptionText> drawing_option_texts() {
  GenerateOptions options;
  CLI::App app;
  add_repl(app, options);
  std::vector<OptionText> texts;
  for (const CLI::Option* option : app.get_options()) {
    if (option == app.get_help_ptr()) continue;
    texts.push_back({.name = setting_name(*option),
                     .names = option->get_name(false, true),
                     .value = option->get_expected_max() == 0 ? "" : option->get_type_name(),
                     .help = option->get_description(),
                     .group = option->get_group(),
                     .excludes = {}});
    for (const auto& [a, b] : kExclusive) {
      if ("--" + texts.back().name == a) texts.back().excludes.emplace_back(b + 2);
      if ("--" + texts.back().name == b) texts.back().excludes.emplace_back(a + 2);
    }
  }
  return texts;
}

Command parse_arguments(const std::vector<std::string>& arguments) {
  CLI::App app("Draws pictures from text with Z-Image-Turbo.", "zimage");
  set_up(app);
  CommandOptions options;
  const CommandApps apps = add_commands(app, options);
  if (const auto show = parse(app, arguments)) return *show;
  check_command(app);
  check_exclusions(chosen(app));
  check_prompt(chosen(app));
  check_dependents(*apps.generate, options.generate.draw.pictures);
  check_dependents(*apps.bench, options.bench.draw.pictures);
  check_dependents(*apps.plan, options.plan.draw.pictures);
  check_dependents(*apps.repl, options.repl.draw.pictures);
  if (*apps.repl) return ReplOptions{.settings = settings_of(*apps.repl), .drawing = options.repl};
  if (*apps.info) return options.info;
  if (*apps.bench) return options.bench;
  if (*apps.plan) return options.plan;
  if (*apps.models) return options.models;
  if (*apps.verify) return options.verify;
  if (*apps.pull) return pull_options(options.pull, options.pull_text);
  if (*apps.convert) return options.convert;
  if (*apps.show_metadata) return options.show_metadata;
  // Several requests have use for a network again.
  GenerateOptions& generate = options.generate;
  if (generate.is_job() && !is_given(*apps.generate, "--keep")) generate.draw.keep = Keep::Auto;
  generate.given = given_options(*apps.generate);
  return generate;
}

void parse_line_arguments(GenerateOptions& options, const std::vector<std::string>& arguments) {
  CLI::App app("One prompt of many.", "generate");
  app.set_help_flag();
  options.prompts.clear();
  options.prompt.reset();
  add_prompt(app, options);
  add_output(app, options);
  add_picture_options(app, options.draw);
  add_size(app, options.draw);
  add_seeds(app, options);
  add_seed_list(app, options);
  parse(app, arguments);
  check_exclusions(app);
  check_dependents(app, options.draw.pictures);
  if (is_given(app, "--init-image") && !options.draw.pictures.init_image)
    options.draw.pictures = {};  // nor is there what the command says of its own
  if (options.prompts.size() != 1)
    throw Error(ErrorCode::InvalidArgument, "prompt: expected one, found none");
}

}  // namespace zimage::cli
