// Names, help and grouping.
#include "cli/options/sampling_options.h"

#include "cli/options/model_options.h"
#include "cli/options/values.h"
#include "pipeline/request_limits.h"

namespace zimage::cli {

void add_sampling(CLI::App& app, DrawOptions& options) {
  add_value(
      app, "-s,--steps", "N",
      [&options](const std::string& text) {
        options.steps = parse_count("--steps", text);
        options.sigmas.clear();
      },
      "Noise levels: a forward of the transformer each (1 to " + std::to_string(kMaxSteps) +
          "; default: the model's, 8 for\nTurbo)")
      ->group("Picture");
  add_value(
      app, "--sampler", "NAME",
      [&options](const std::string& text) { options.sampler = parse_sampler("--sampler", text); },
      "euler, heun (two forwards a step), dpmpp-1, dpmpp-2m, dpmpp-3m, or dpmpp-2m-sde, which "
      "adds\nnoise in each step and is also called sde-dpmsolver++ (default: euler)")
      ->group("Picture");
  add_value(
      app, "--sigmas", "LIST",
      [&options](const std::string& text) {
        options.sigmas = parse_numbers("--sigmas", text);
        options.steps.reset();
      },
      "Noise levels in place of --steps, each below the one before, such as 1,0.75,0.5,0.25; the "
      "shift\n"
      "is applied to them, and 0 follows (above 0 up to 1; default: spaced evenly)")
      ->group("Picture");
  add_value(
      app, "--shift", "NUMBER",
      [&options](const std::string& text) { options.shift = parse_number("--shift", text); },
      "How far noise levels are moved towards 1; 1 leaves them as they are (above 0 up to " +
          std::to_string(kMaxShift) + ";\ndefault: as the model's configuration says, 3 for Turbo)")
      ->group("Picture");
  add_value(
      app, "--seed-variety", "NUMBER",
      [&options](const std::string& text) {
        options.seed_variety = parse_number("--seed-variety", text);
      },
      "How far pictures of different seeds are moved apart: more keeps less to the prompt (0 to "
      "1;\n"
      "default: 0, the model's own)")
      ->group("Picture");
}

void add_guidance(CLI::App& app, DrawOptions& options) {
  add_value(
      app, "-g,--guidance", "SCALE",
      [&options](const std::string& text) { options.guidance = parse_number("--guidance", text); },
      "How far each step goes away from the negative prompt; 0 is one forward a step, any other "
      "two\nat once (0 to " +
          std::to_string(kMaxGuidance) + "; default: the model's, 0 for Turbo)")
      ->group("Guidance");
  add_value(
      app, "--negative,--negative-prompt", "TEXT",
      [&options](const std::string& text) { options.negative_prompt = text; },
      "What to keep away from, with guidance (default: empty)")
      ->group("Guidance");
  add_value(
      app, "--cfg-normalization", "FACTOR",
      [&options](const std::string& text) {
        options.cfg_normalization = parse_number("--cfg-normalization", text);
      },
      "The most by which guidance may lengthen a step; 1 keeps its length, 0 takes any (0 to " +
          std::to_string(kMaxGuidance) + ";\ndefault: 0)")
      ->group("Guidance");
  add_value(
      app, "--cfg-truncation", "TIME",
      [&options](const std::string& text) {
        options.cfg_truncation = parse_number("--cfg-truncation", text);
      },
      "Steps go without guidance once 1 - sigma exceeds this (0 to 1; default: 1, none)")
      ->group("Guidance");
}

}  // namespace zimage::cli
