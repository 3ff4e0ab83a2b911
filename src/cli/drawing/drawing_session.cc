// The order of work: everything that can fail cheaply comes before the networks are loaded.
#include "cli/drawing/drawing_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <random>
#include <utility>

#include "base/error.h"
#include "base/json_line.h"
#include "base/process_memory.h"
#include "base/quote.h"
#include "cli/drawing/plan_text.h"
#include "cli/drawing/previews.h"
#include "cli/drawing/prompt.h"
#include "cli/drawing/source_files.h"
#include "cli/options/default_model.h"
#include "cli/options/pipeline_options.h"
#include "cli/terminal/descriptors.h"
#include "cli/terminal/progress.h"

namespace zimage::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void tell_plan(Console& console, const Plan& plan) {
  for (const StagePlan& stage : plan.stages) {
    if (!stage.runs) continue;
    console.detail(
        fmt::format("plan: {}: weights {} MiB, activations {} MiB, workspace {} MiB, {:.1f} GFLOP",
                    zimage::name_of(stage.stage), mebibytes(stage.weights),
                    mebibytes(stage.activations), mebibytes(stage.workspace), stage.flops / 1e9));
  }
  console.detail(fmt::format("plan: {} MiB of {} MiB available, {}", mebibytes(plan.total),
                             mebibytes(plan.available), choices_text(plan)));
  const bool streams = std::any_of(plan.stages.begin(), plan.stages.end(),
                                   [](const StagePlan& stage) { return stage.streamed > 0; });
  const bool fits = plan.total <= plan.available;
  const bool splits = plan.pictures_per_pass < plan.count;
  if (fits && (splits || streams || plan.strip_rows > 0 || plan.encoder_strip_rows > 0))
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
                 fmt::format(" peak memory {} MiB",
                             static_cast<double>(peak_resident_memory()) / (1024.0 * 1024.0)));
}

// What is known of a picture whether it was drawn now or before.
OrderedJson report(const Provenance& provenance, const std::string& file, bool is_there) {
  const Request& request = provenance.request;
  OrderedJson json{{"file", file},
                   {"seed", request.seed},
                   {"count", request.count},
                   {"index", provenance.index},
                   {"width", *request.width},
                   {"height", *request.height}};
  json.update(sampling_json(request));
  json.update(
      OrderedJson{{"rng", name_of(request.rng)}, {"model", provenance.model}, {"there", is_there}});
  return json;
}

OrderedJson report_drawn(const Provenance& provenance, const Result& result,
                         const std::string& file, const OrderedJson& seconds) {
  OrderedJson json = report(provenance, file, false);
  json.update(OrderedJson{{"tokens", result.tokens},
                          {"tokens_dropped", result.tokens_dropped},
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

Pipeline open_pipeline(const DrawOptions& options, const ModelLocation& place, Console& console) {
  console.detail(fmt::format("model {}", place.origin().string()));
  console.status("loading the model");
  return Pipeline(pipeline_options(place, options));
}

}  // namespace

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

Order make_order_without_place(const GenerateOptions& options, std::string prompt) {
  check_prompt("prompt", prompt);
  Order order{.start = Clock::now(),
              .request = draw_request(options.draw, std::move(prompt)),
              .options = options,
              .sources = source_files(options.draw.pictures),
              .encoding = encode_options(options),
              .outputs = {},
              .done = {}};
  order.request.seed = options.seed ? *options.seed : random_seed();
  order.request.rng = options.rng;
  return order;
}

Order make_order(const GenerateOptions& options, std::string prompt) {
  Order order = make_order_without_place(options, std::move(prompt));
  order.outputs = OutputFile(options.output,
                             fmt::format("zimage-{}.{}", order.request.seed,
                                         extension_of(order.encoding.format)),
                             options.force ? Overwrite::Allowed : Overwrite::Never)
                      .for_pictures(options.only ? 1 : order.request.count);
  return order;
}

DrawingSession::DrawingSession(const DrawOptions& options, Console& console)
    : DrawingSession(options, find_model(options.model, ModelPlaces::of_this_process()), console) {}

DrawingSession::DrawingSession(const DrawOptions& options, const ModelLocation& place,
                               Console& console)
    : console_(console),
      model_(model_name(place.origin())),
      pipeline_(open_pipeline(options, place, console)),
      device_(pipeline_.device_description()) {
  console_.detail(fmt::format("device {}", device_));
}

void DrawingSession::tell_notes(const Request& request) {
  for (const std::string& note : pipeline_.notes(request)) {
    if (std::find(told_.begin(), told_.end(), note) != told_.end()) continue;
    told_.push_back(note);
    console_.note(note);
  }
}

Provenance DrawingSession::provenance(const Order& order) const {
  const DrawOptions& options = order.options.draw;
  Provenance provenance{.request = pipeline_.complete(order.request),
                        .model = model_,
                        .device = device_,
                        .precision = options.precision,
                        .encoding = options.encoding,
                        .cpu_kernel = options.cpu_kernel,
                        .sources = order.sources};
  check_encodable(*provenance.request.width, *provenance.request.height, metadata(provenance),
                  order.encoding.format);
  return provenance;
}

void DrawingSession::print_done(const Order& order) const {
  if (!order.options.draw.json || order.done.empty()) return;
  Provenance provenance = this->provenance(order);
  for (const auto& [i, file] : order.done) {
    provenance.index = order.options.only.value_or(static_cast<std::int64_t>(i));
    print_to_stdout(json_line(report(provenance, file.string(), true)) + "\n");
  }
}

std::size_t DrawingSession::encode(std::span<const std::string> prompts,
                                   const std::stop_token& stop) {
  return pipeline_.encode(
      prompts, [this](const Progress& progress) { console_.progress(progress); }, stop);
}

double DrawingSession::draw(const Order& order, const std::stop_token& stop) {
  const GenerateOptions& options = order.options;
  if (!options.seed) console_.note(fmt::format("seed {}", order.request.seed));
  tell_notes(order.request);
  const Plan plan = pipeline_.plan(order.request);
  tell_plan(console_, plan);

  Provenance provenance = this->provenance(order);
  Previews previews(options, order.outputs, console_, stop);
  const Result result = pipeline_.generate(
      order.request, [this](const Progress& progress) { console_.progress(progress); }, stop,
      previews.sink());
  console_.clear();
  tell_result(console_, result);

  provenance.request = result.request;
  provenance.precision = result.precision;
  provenance.encoding = result.encoding;
  const Clock::time_point save_start = Clock::now();
  OrderedJson seconds;
  for (std::size_t i = 0; i < order.outputs.size(); ++i) {
    if (order.done.contains(i)) continue;
    provenance.index = options.only.value_or(static_cast<std::int64_t>(i));
    const Image& image = result.images[static_cast<std::size_t>(provenance.index)];
    const std::filesystem::path file =
        order.outputs[i].write(encode_picture(image, metadata(provenance), order.encoding), stop);
    seconds = stage_seconds(result.timings, seconds_since(save_start), seconds_since(order.start));
    const std::string line =
        options.draw.json ? json_line(report_drawn(provenance, result, file.string(), seconds))
                          : file.string();
    previews.show(image);
    if (!order.outputs[i].is_standard_output()) {
      print_to_stdout(line + "\n");
    } else if (options.draw.json) {
      console_.always(line);
    }
  }
  tell_times(console_, seconds, plan.evaluations * plan.passes());
  return seconds_since(order.start);
}

}  // namespace zimage::cli
