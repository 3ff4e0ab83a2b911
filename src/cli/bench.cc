// Times the pipeline's stages.
#include "cli/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <limits>
#include <string_view>

#include "cli/console.h"
#include "cli/default_model.h"
#include "cli/json_line.h"
#include "cli/output_file.h"
#include "cli/process.h"
#include "cli/progress.h"

namespace zimage::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(const Timings& timings, Stage stage) {
  switch (stage) {
    case Stage::EncodePrompt: return timings.encode_prompt;
    case Stage::Denoise: return timings.denoise;
    case Stage::Decode: return timings.decode;
  }
  return 0;
}

// Draws one picture; gives its wall time.
double timed(Pipeline& pipeline, const Request& request, Timings& timings) {
  const Clock::time_point start = Clock::now();
  timings = pipeline.generate(request).timings;
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void raise(Ceilings& ceilings, const Ceilings& measured) {
  ceilings.flops = std::max(ceilings.flops, measured.flops);
  ceilings.bandwidth = std::max(ceilings.bandwidth, measured.bandwidth);
}

double rate(const StageResult& stage) {
  return stage.seconds > 0 ? stage.flops / stage.seconds : 0;
}

double share(const BenchReport& report, const StageResult& stage) {
  return report.ceilings.flops > 0 ? rate(stage) / report.ceilings.flops : 0;
}

// All stages as one.
StageResult sum(const BenchReport& report) {
  StageResult total{.name = "total", .seconds = 0, .flops = 0};
  for (const StageResult& stage : report.stages) {
    total.seconds += stage.seconds;
    total.flops += stage.flops;
  }
  return total;
}

OrderedJson stage_json(const BenchReport& report, const StageResult& stage) {
  return {{"name", stage.name},
          {"seconds", stage.seconds},
          {"flops", stage.flops},
          {"flops_per_second", rate(stage)},
          {"share_of_peak", share(report, stage)}};
}

}  // namespace

BenchReport run_bench(Pipeline& pipeline, const Request& request, int repeat) {
  BenchReport report{.request = pipeline.complete(request),
                     .model = {},
                     .device = pipeline.device_description(),
                     .repeat = repeat,
                     .ceilings = pipeline.measure_ceilings(),
                     .stages = {}};
  for (const StagePlan& stage : pipeline.plan(request).stages) {
    report.stages.push_back({.name = std::string(name_of(stage.stage)),
                             .seconds = std::numeric_limits<double>::infinity(),
                             .flops = stage.flops});
  }
  Timings timings;
  report.first_seconds = timed(pipeline, request, timings);
  report.load_seconds = timings.load;
  report.warm_seconds = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeat; ++i) {
    report.warm_seconds = std::min(report.warm_seconds, timed(pipeline, request, timings));
    for (const Stage stage : {Stage::EncodePrompt, Stage::Denoise, Stage::Decode}) {
      double& best = report.stages[static_cast<std::size_t>(stage)].seconds;
      best = std::min(best, seconds_of(timings, stage));
    }
  }
  raise(report.ceilings, pipeline.measure_ceilings());
  report.peak_memory = peak_memory();
  return report;
}

std::string bench_table(const BenchReport& report) {
  std::string text = fmt::format(
      "{}, {}x{}, {} steps\n{}\npeak {:.1f} GFLOP/s, memory {:.1f} GB/s, measured in this run\n\n",
      report.model, *report.request.width, *report.request.height, *report.request.steps,
      report.device, report.ceilings.flops / 1e9, report.ceilings.bandwidth / 1e9);
  text += fmt::format("{:<14}{:>12}{:>11}{:>11}{:>9}\n", "stage", "time", "GFLOP", "GFLOP/s",
                      "of peak");
  const auto add = [&](const StageResult& stage) {
    text += fmt::format("{:<14}{:>9.1f} ms{:>11.2f}{:>11.1f}{:>7.1f} %\n", stage.name,
                        stage.seconds * 1e3, stage.flops / 1e9, rate(stage) / 1e9,
                        share(report, stage) * 100);
  };
  for (const StageResult& stage : report.stages) add(stage);
  add(sum(report));
  text += fmt::format(
      "\nbest of {}; a warm picture takes {:.3f} s, the first one {:.3f} s ({:.3f} s of it "
      "loading); "
      "peak memory {:.1f} MiB\n",
      report.repeat, report.warm_seconds, report.first_seconds, report.load_seconds,
      static_cast<double>(report.peak_memory) / 0x1p20);
  return text;
}

std::string bench_json(const BenchReport& report) {
  OrderedJson stages = OrderedJson::array();
  for (const StageResult& stage : report.stages) stages.push_back(stage_json(report, stage));
  return json_line({{"model", report.model},
                    {"device", report.device},
                    {"width", *report.request.width},
                    {"height", *report.request.height},
                    {"steps", *report.request.steps},
                    {"repeat", report.repeat},
                    {"peak_flops_per_second", report.ceilings.flops},
                    {"peak_bytes_per_second", report.ceilings.bandwidth},
                    {"stages", stages},
                    {"total", stage_json(report, sum(report))},
                    {"warm_seconds", report.warm_seconds},
                    {"first_seconds", report.first_seconds},
                    {"load_seconds", report.load_seconds},
                    {"peak_memory_bytes", report.peak_memory},
                    {"version", version()}});
}

void bench(const BenchOptions& options) {
  const std::filesystem::path model =
      find_model(options.draw.model, ModelPlaces::of_this_process());
  Pipeline pipeline({.model = model,
                     .device = options.draw.device,
                     .threads = options.draw.threads,
                     .random_weights = options.random_weights});
  const Request request{.prompt = options.prompt,
                        .width = options.draw.width,
                        .height = options.draw.height,
                        .steps = options.draw.steps};
  BenchReport report = run_bench(pipeline, request, options.repeat);
  report.model = model_name(model);
  print_to_stdout(options.draw.json ? bench_json(report) + "\n" : bench_table(report));
}

}  // namespace zimage::cli
