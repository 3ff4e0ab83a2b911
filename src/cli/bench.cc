// Times the pipeline's stages.
#include "cli/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <string_view>

#include "base/json_line.h"
#include "base/process_memory.h"
#include "cli/drawing/plan_text.h"
#include "cli/options/default_model.h"
#include "cli/options/pipeline_options.h"
#include "cli/terminal/console.h"
#include "cli/terminal/descriptors.h"
#include "cli/terminal/progress.h"

namespace zimage::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(const Timings& timings, Stage stage) {
  switch (stage) {
    case Stage::EncodeImage: return timings.encode_image;
    case Stage::EncodePrompt: return timings.encode_prompt;
    case Stage::Denoise: return timings.denoise;
    case Stage::Decode: return timings.decode;
  }
  return 0;
}

// Forwards of a stage's network.
std::int64_t calls_of(Stage stage, const Request& request, const Plan& plan) {
  switch (stage) {
    case Stage::EncodeImage: return 1;
    case Stage::EncodePrompt: return *request.guidance > 0 ? 2 : 1;
    case Stage::Denoise: return plan.evaluations * plan.passes();
    case Stage::Decode: return plan.count;
  }
  return 0;
}

// Draws the request; gives its wall time.
double timed(Pipeline& pipeline, const Request& request, Timings& timings,
             const ProgressFn& progress = {}) {
  const Clock::time_point start = Clock::now();
  timings = pipeline.generate(request, progress).timings;
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Of an even number of values the mean of the middle two.
double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void raise(Ceilings& ceilings, const Ceilings& measured) {
  ceilings.flops = std::max(ceilings.flops, measured.flops);
  ceilings.encoded = std::max(ceilings.encoded, measured.encoded);
  ceilings.bandwidth = std::max(ceilings.bandwidth, measured.bandwidth);
  ceilings.transfer = std::max(ceilings.transfer, measured.transfer);
}

double rate(const BenchRow& row) {
  return row.seconds > 0 ? row.flops / row.seconds : 0;
}

double share(const BenchReport& report, const BenchRow& row) {
  return report.ceilings.flops > 0 ? rate(row) / report.ceilings.flops : 0;
}

// Of the peak of the transformer's products, where that is another; 0 where it is not.
double share_of_encoded(const BenchReport& report, const BenchRow& row) {
  return report.ceilings.encoded > 0 ? rate(row) / report.ceilings.encoded : 0;
}

double pictures_per_second(const BenchReport& report, double seconds) {
  return seconds > 0 ? static_cast<double>(report.request.count) / seconds : 0;
}

// All stages as one.
BenchRow sum(const BenchReport& report) {
  BenchRow total{.name = "total", .seconds = 0, .flops = 0};
  for (const BenchRow& stage : report.stages) {
    total.seconds += stage.seconds;
    total.flops += stage.flops;
  }
  return total;
}

OrderedJson row_json(const BenchReport& report, const BenchRow& row) {
  OrderedJson json{{"name", row.name},
                   {"calls", row.calls},
                   {"seconds", row.seconds},
                   {"flops", row.flops},
                   {"flops_per_second", rate(row)},
                   {"share_of_peak", share(report, row)}};
  if (report.ceilings.encoded > 0) json["share_of_encoded_peak"] = share_of_encoded(report, row);
  return json;
}

OrderedJson stages_json(const BenchReport& report) {
  OrderedJson array = OrderedJson::array();
  for (const BenchRow& row : report.stages) {
    array.push_back(row_json(report, row));
    array.back()["pictures_per_second"] = pictures_per_second(report, row.seconds);
    array.back()["planned_bytes"] = row.planned;
    array.back()["memory_bytes"] = row.memory;
  }
  return array;
}

OrderedJson rows_json(const BenchReport& report, const std::vector<BenchRow>& rows) {
  OrderedJson array = OrderedJson::array();
  for (const BenchRow& row : rows) array.push_back(row_json(report, row));
  return array;
}

// Each kind of operation at its median in `repeat` profiled runs, the most time first.
std::vector<BenchRow> profile_operations(Pipeline& pipeline, const Request& request, int repeat) {
  std::map<std::string, BenchRow> found;
  std::map<std::string, std::vector<double>> seconds;
  for (int i = 0; i < repeat; ++i) {
    for (const OpProfile& profile : pipeline.profile(request)) {
      found[profile.name] = {.name = profile.name, .calls = profile.calls, .flops = profile.flops};
      seconds[profile.name].push_back(profile.seconds);
    }
  }
  std::vector<BenchRow> rows;
  rows.reserve(found.size());
  for (const auto& [name, row] : found) {
    rows.push_back(row);
    rows.back().seconds = median(seconds[name]);
  }
  std::sort(rows.begin(), rows.end(),
            [](const BenchRow& a, const BenchRow& b) { return a.seconds > b.seconds; });
  return rows;
}

}  // namespace

BenchReport run_bench(Pipeline& pipeline, const Request& request, int repeat) {
  BenchReport report;
  report.request = pipeline.complete(request);
  report.device = pipeline.device_description();
  report.repeat = repeat;
  report.ceilings = pipeline.measure_ceilings();
  const Plan plan = pipeline.plan(request);
  report.choices = choices_text(plan);
  std::vector<Stage> stages;
  for (const StagePlan& stage : plan.stages) {
    if (!stage.runs) continue;
    stages.push_back(stage.stage);
    report.stages.push_back({.name = std::string(name_of(stage.stage)),
                             .calls = calls_of(stage.stage, report.request, plan),
                             .flops = stage.flops,
                             .planned = stage.total});
  }
  Timings timings;
  // The last call of a stage comes while all of its memory is taken.
  report.first_seconds = timed(pipeline, request, timings, [&](const Progress& progress) {
    const auto at = std::find(stages.begin(), stages.end(), progress.stage) - stages.begin();
    report.stages[static_cast<std::size_t>(at)].memory = pipeline.memory_in_use();
  });
  report.load_seconds = timings.load;
  std::vector<double> whole;
  std::vector<std::vector<double>> seconds(stages.size());
  for (int i = 0; i < repeat; ++i) {
    whole.push_back(timed(pipeline, request, timings));
    for (std::size_t at = 0; at < stages.size(); ++at)
      seconds[at].push_back(seconds_of(timings, stages[at]));
  }
  report.warm_seconds = median(whole);
  report.least_seconds = *std::min_element(whole.begin(), whole.end());
  for (std::size_t i = 0; i < seconds.size(); ++i) report.stages[i].seconds = median(seconds[i]);
  report.operations = profile_operations(pipeline, request, repeat);
  raise(report.ceilings, pipeline.measure_ceilings());
  report.peak_memory = peak_resident_memory();
  return report;
}

std::string bench_table(const BenchReport& report) {
  std::string text = fmt::format(
      "{}, {}\n{}\npeak {:.1f} GFLOP/s{}, memory {:.1f} GB/s, measured in this "
      "run{}\n{}\n",
      report.model, size_text(report.request), report.device, report.ceilings.flops / 1e9,
      report.ceilings.encoded > 0
          ? fmt::format(" (of rounded products {:.1f})", report.ceilings.encoded / 1e9)
          : "",
      report.ceilings.bandwidth / 1e9,
      report.ceilings.transfer > 0
          ? fmt::format("; copies to the device {:.1f} GB/s", report.ceilings.transfer / 1e9)
          : "",
      report.choices);
  const bool encoded = report.ceilings.encoded > 0;
  const auto head = [encoded](const char* name, const char* last) {
    return fmt::format("\n{:<22}{:>7}{:>14}{:>11}{:>11}{:>10}{}{}\n", name, "calls", "time",
                       "GFLOP", "GFLOP/s", "of peak", encoded ? "  of rounded" : "", last);
  };
  const auto line = [&](const BenchRow& row) {
    std::string numbers =
        fmt::format("{:<22}{:>7}{:>11.2f} ms", row.name, row.calls, row.seconds * 1e3);
    if (row.flops > 0) {
      numbers += fmt::format("{:>11.2f}{:>11.1f}{:>8.1f} %", row.flops / 1e9, rate(row) / 1e9,
                             share(report, row) * 100);
      if (encoded) numbers += fmt::format("{:>10.1f} %", share_of_encoded(report, row) * 100);
    }
    return numbers;
  };
  std::vector<BenchRow> stages = report.stages;
  stages.push_back(sum(report));
  text += head("stage", "  pictures/s");
  for (const BenchRow& row : stages)
    text += fmt::format("{}{:>12.2f}\n", line(row), pictures_per_second(report, row.seconds));
  text += fmt::format("\n{:<22}{:>16}{:>16}\n", "memory", "planned", "at its end");
  for (const BenchRow& row : report.stages) {
    text += fmt::format("{:<22}{:>12.1f} MiB{:>12.1f} MiB\n", row.name,
                        static_cast<double>(row.planned) / 0x1p20,
                        static_cast<double>(row.memory) / 0x1p20);
  }
  text += head("operation", "");
  for (const BenchRow& row : report.operations) text += line(row) + '\n';
  text += fmt::format(
      "\nmedian of {}; warm it takes {:.3f} s (least {:.3f} s), {:.3f} pictures a second; the "
      "first "
      "time {:.3f} s ({:.3f} s of it loading); peak memory of the process {:.1f} MiB\n",
      report.repeat, report.warm_seconds, report.least_seconds,
      pictures_per_second(report, report.warm_seconds), report.first_seconds, report.load_seconds,
      static_cast<double>(report.peak_memory) / 0x1p20);
  return text;
}

std::string bench_json(const BenchReport& report) {
  return json_line({{"model", report.model},
                    {"device", report.device},
                    {"width", *report.request.width},
                    {"height", *report.request.height},
                    {"steps", *report.request.steps},
                    {"sampler", name_of(report.request.sampler)},
                    {"guidance", *report.request.guidance},
                    {"count", report.request.count},
                    {"repeat", report.repeat},
                    {"peak_flops_per_second", report.ceilings.flops},
                    {"peak_encoded_flops_per_second", report.ceilings.encoded},
                    {"peak_bytes_per_second", report.ceilings.bandwidth},
                    {"peak_transfer_bytes_per_second", report.ceilings.transfer},
                    {"stages", stages_json(report)},
                    {"total", row_json(report, sum(report))},
                    {"operations", rows_json(report, report.operations)},
                    {"warm_seconds", report.warm_seconds},
                    {"pictures_per_second", pictures_per_second(report, report.warm_seconds)},
                    {"least_seconds", report.least_seconds},
                    {"first_seconds", report.first_seconds},
                    {"load_seconds", report.load_seconds},
                    {"peak_memory_bytes", report.peak_memory},
                    {"version", version()}});
}

void bench(const BenchOptions& options) {
  Console console(Verbosity::Normal);
  const LogToConsole log(console);
  const ModelLocation place =
      find_model_or_config(options.draw.model, options.config, ModelPlaces::of_this_process());
  PipelineOptions settings = pipeline_options(place, options.draw);
  settings.random_weights = options.random_weights || options.config;
  settings.feature_memory = 0;  // each repetition has every stage
  Pipeline pipeline(settings);
  const Request request = draw_request(options.draw, options.prompt);
  BenchReport report = run_bench(pipeline, request, options.repeat);
  report.model = model_name(place.origin());
  print_to_stdout(options.draw.json ? bench_json(report) + "\n" : bench_table(report));
}

}  // namespace zimage::cli
