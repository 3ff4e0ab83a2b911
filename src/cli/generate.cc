// The order of work: everything that can fail cheaply comes before the model is loaded.
#include "cli/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json_line.h"
#include "base/process_memory.h"
#include "base/quote.h"
#include "cli/console.h"
#include "cli/default_model.h"
#include "cli/from_image.h"
#include "cli/output_file.h"
#include "cli/picture_options.h"
#include "cli/pipeline_options.h"
#include "cli/plan.h"
#include "cli/progress.h"
#include "cli/prompt.h"
#include "image/encode.h"
#include "metadata/metadata.h"
#include "pipeline/pipeline.h"

namespace zimage::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

void tell_plan(Console& console, const Plan& plan) {
  constexpr double kMebibyte = 1024.0 * 1024.0;
  const auto mib = [](std::size_t bytes) { return static_cast<double>(bytes) / kMebibyte; };
  for (const StagePlan& stage : plan.stages) {
    if (!stage.runs) continue;
    console.detail(fmt::format(
        "plan: {}: weights {:.1f} MiB, activations {:.1f} MiB, workspace {:.1f} MiB, {:.1f} GFLOP",
        zimage::name_of(stage.stage), mib(stage.weights), mib(stage.activations),
        mib(stage.workspace), stage.flops / 1e9));
  }
  console.detail(fmt::format("plan: {:.1f} MiB of {:.1f} MiB available, {}", mib(plan.total),
                             mib(plan.available), choices_text(plan)));
  const bool streams = std::any_of(plan.stages.begin(), plan.stages.end(),
                                   [](const StagePlan& stage) { return stage.streamed > 0; });
  const bool fits = plan.total <= plan.available;
  const bool splits = plan.pictures_per_pass < plan.count;
  if (fits && (splits || streams || plan.tile > 0 || plan.encoder_tile > 0))
    console.note("to save memory: " + choices_text(plan));
}

void tell_result(Console& console, const Result& result) {
  if (result.tokens_dropped > 0) {
    console.note(
        fmt::format("the prompt has {} tokens, the model reads {}: the last {} were dropped",
                    result.tokens + result.tokens_dropped, result.tokens, result.tokens_dropped));
  }
  if (result.negative_tokens_dropped > 0) {
    console.note(fmt::format("of the negative prompt the last {} tokens were dropped",
                             result.negative_tokens_dropped));
  }
  if (!result.repeated.empty()) console.note(result.repeated);
  const Image& image = result.images.front();
  if (result.drawn_width != image.width || result.drawn_height != image.height) {
    console.note(fmt::format("drawn at {}x{}, cropped to {}x{}", result.drawn_width,
                             result.drawn_height, image.width, image.height));
  }
}

// Seconds of everything up to here, as `-v` and `--json` tell them.
OrderedJson stage_seconds(const Timings& timings, double save, double total) {
  OrderedJson seconds{{"load", timings.load}};
  if (timings.encode_image > 0) seconds["image_encoder"] = timings.encode_image;
  seconds.update(OrderedJson{{"text_encoder", timings.encode_prompt},
                             {"denoise", timings.denoise},
                             {"decode", timings.decode},
                             {"save", save},
                             {"total", total}});
  return seconds;
}

void tell_times(Console& console, const OrderedJson& seconds, std::int64_t forwards) {
  std::string line = "time:";
  for (const auto& [stage, value] : seconds.items()) {
    line += fmt::format(" {} {}", stage, format_seconds(value.get<double>()));
    if (stage == "denoise") {
      line += fmt::format(" ({})", format_rate(static_cast<double>(forwards), value.get<double>()));
    }
    line += ',';
  }
  console.detail(line +
                 fmt::format(" peak memory {:.1f} MiB",
                             static_cast<double>(peak_resident_memory()) / (1024.0 * 1024.0)));
}

OrderedJson report(const Provenance& provenance, const Result& result, const std::string& file,
                   const OrderedJson& seconds) {
  OrderedJson json{{"file", file},
                   {"seed", result.request.seed},
                   {"count", result.request.count},
                   {"index", provenance.index},
                   {"width", *result.request.width},
                   {"height", *result.request.height}};
  json.update(sampling_json(result.request));
  json.update(OrderedJson{{"rng", name_of(result.request.rng)},
                          {"tokens", result.tokens},
                          {"tokens_dropped", result.tokens_dropped},
                          {"model", provenance.model},
                          {"device", provenance.device},
                          {"seconds", seconds},
                          {"peak_memory_bytes", peak_resident_memory()},
                          {"version", version()}});
  return json;
}

// By --format, else as the output's name ends, else PNG.
EncodeOptions encode_options(const GenerateOptions& options) {
  std::optional<PictureFormat> named;
  if (options.output) {
    const std::string extension = std::filesystem::path(*options.output).extension().string();
    if (!extension.empty()) named = format_of_extension(extension.substr(1));
  }
  if (options.format && named && *options.format != *named) {
    throw Error(ErrorCode::InvalidArgument,
                fmt::format("--format is {}, but --output is {}", zimage::name_of(*options.format),
                            quote(*options.output)));
  }
  return {.format = options.format.value_or(named.value_or(PictureFormat::Png)),
          .quality = options.quality};
}

Request request_of(const GenerateOptions& options) {
  Request request = draw_request(options.draw, read_prompt(options, std::cin));
  request.seed = options.seed ? *options.seed : random_seed();
  request.rng = options.rng;
  return request;
}

// Of a picture that is drawn again: what of it was not taken.
void tell_source(Console& console, const FromImage& from, const ModelLocation& place) {
  for (const std::string& note : from.notes) console.note(note);
  const std::string model = model_name(place.origin());
  if (!from.model.empty() && from.model != model) {
    console.note(fmt::format("{} was drawn by the model {}, this is {}: -m names another",
                             *from.options.from_image, quote(from.model), quote(model)));
  }
}

}  // namespace

void generate(const GenerateOptions& asked, Interrupt& interrupt) {
  const Clock::time_point start = Clock::now();
  const FromImage from = from_image(asked);
  const GenerateOptions& options = from.options;
  const Request request = request_of(options);
  const SourceFiles sources = source_files(options.draw.pictures);
  const EncodeOptions encoding = encode_options(options);
  interrupt.watch(OutputFile::abandon);
  Console console(options.verbosity);
  const LogToConsole log(console);
  const ModelLocation place = find_model(options.draw.model, ModelPlaces::of_this_process());
  const std::vector<OutputFile> outputs =
      OutputFile(options.output,
                 fmt::format("zimage-{}.{}", request.seed, extension_of(encoding.format)),
                 options.force ? Overwrite::Allowed : Overwrite::Never)
          .for_pictures(options.only ? 1 : request.count);

  tell_source(console, from, place);
  if (!options.seed) console.note(fmt::format("seed {}", request.seed));
  console.detail(fmt::format("model {}", place.origin().string()));
  console.status("loading the model");
  Pipeline pipeline(pipeline_options(place, options.draw));
  const std::string device = pipeline.device_description();
  console.detail(fmt::format("device {}", device));
  for (const std::string& note : pipeline.notes(request)) console.note(note);
  const Plan plan = pipeline.plan(request);
  tell_plan(console, plan);

  Provenance provenance{.request = pipeline.complete(request),
                        .model = model_name(place.origin()),
                        .device = device,
                        .precision = options.draw.precision,
                        .encoding = options.draw.encoding,
                        .cpu_kernel = options.draw.cpu_kernel,
                        .sources = sources};
  check_encodable(*provenance.request.width, *provenance.request.height, metadata(provenance),
                  encoding.format);
  const Result result = pipeline.generate(
      request, [&console](const Progress& progress) { console.progress(progress); },
      interrupt.token());
  console.clear();
  tell_result(console, result);

  provenance.request = result.request;
  provenance.precision = result.precision;
  provenance.encoding = result.encoding;
  const Clock::time_point save_start = Clock::now();
  OrderedJson seconds;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    provenance.index = options.only.value_or(static_cast<std::int64_t>(i));
    const std::filesystem::path file =
        outputs[i].write(encode_picture(result.images[static_cast<std::size_t>(provenance.index)],
                                        metadata(provenance), encoding),
                         interrupt.token());
    seconds = stage_seconds(result.timings, seconds_since(save_start), seconds_since(start));
    const std::string line = options.draw.json
                                 ? json_line(report(provenance, result, file.string(), seconds))
                                 : file.string();
    if (!outputs[i].is_standard_output()) {
      print_to_stdout(line + "\n");
    } else if (options.draw.json) {
      console.always(line);
    }
  }
  tell_times(console, seconds, plan.evaluations * plan.passes());
}

}  // namespace zimage::cli
