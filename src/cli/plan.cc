// Plans to tables and JSON.
#include "cli/plan.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "base/json_line.h"
#include "cli/drawing/plan_text.h"
#include "cli/options/default_model.h"
#include "cli/options/pipeline_options.h"
#include "cli/terminal/descriptors.h"

namespace zimage::cli {
namespace {

// What a stage needs beside its own weights, activations and workspace while its total is reached.
std::size_t other_bytes(const StagePlan& stage) {
  const std::size_t own = stage.weights + stage.activations + stage.workspace;
  return stage.total > own ? stage.total - own : 0;
}

std::string picture_table(const PlannedPicture& picture) {
  const Request& request = picture.request;
  const Plan& plan = picture.plan;
  std::string text = fmt::format("\n{}\n{:<14}{:>12}{:>14}{:>12}{:>10}{:>12}\n", size_text(request),
                                 "MiB", "weights", "activations", "workspace", "other", "total");
  for (const StagePlan& stage : plan.stages) {
    if (!stage.runs) continue;
    text += fmt::format("{:<14}{:>12}{:>14}{:>12}{:>10}{:>12}\n", zimage::name_of(stage.stage),
                        mebibytes(stage.weights), mebibytes(stage.activations),
                        mebibytes(stage.workspace), mebibytes(other_bytes(stage)),
                        mebibytes(stage.total));
  }
  text += fmt::format("{:<14}{:>60}  {}: {}\n", "most at once", mebibytes(plan.total),
                      plan.total > plan.available ? "does not fit" : "fits", choices_text(plan));
  return text;
}

OrderedJson picture_json(const PlannedPicture& picture) {
  OrderedJson stages = OrderedJson::array();
  for (const StagePlan& stage : picture.plan.stages) {
    if (!stage.runs) continue;
    stages.push_back({{"name", zimage::name_of(stage.stage)},
                      {"weights_bytes", stage.weights},
                      {"activations_bytes", stage.activations},
                      {"workspace_bytes", stage.workspace},
                      {"other_bytes", other_bytes(stage)},
                      {"host_copies_bytes", stage.copies},
                      {"total_bytes", stage.total},
                      {"layers", stage.layers},
                      {"streamed_layers", stage.streamed},
                      {"flops", stage.flops}});
  }
  return {{"width", *picture.request.width},
          {"height", *picture.request.height},
          {"steps", *picture.request.steps},
          {"sampler", zimage::name_of(picture.request.sampler)},
          {"guidance", *picture.request.guidance},
          {"count", picture.plan.count},
          {"pictures_per_pass", picture.plan.pictures_per_pass},
          {"stages", stages},
          {"keep", picture.plan.keep == Keep::All ? "all" : "none"},
          {"strip_rows", picture.plan.strip_rows},
          {"kept_maps", picture.plan.kept_maps},
          {"encoder_strip_rows", picture.plan.encoder_strip_rows},
          {"encoder_kept_maps", picture.plan.encoder_kept_maps},
          {"total_bytes", picture.plan.total},
          {"available_bytes", picture.plan.available},
          {"fits", picture.plan.total <= picture.plan.available}};
}

DevicePlans plan_on(const std::string& device, const ModelLocation& place,
                    const PlanOptions& options) {
  PipelineOptions settings = pipeline_options(place, options.draw);
  settings.device = device;
  settings.random_weights = options.random_weights || options.config;
  Pipeline pipeline(settings);
  DevicePlans plans{.device = pipeline.device_description(), .pictures = {}};
  std::vector<std::pair<std::optional<std::int64_t>, std::optional<std::int64_t>>> sizes;
  sizes.reserve(options.sizes.size() + 1);
  for (const Size& size : options.sizes) sizes.emplace_back(size.width, size.height);
  if (sizes.empty()) sizes.emplace_back(options.draw.width, options.draw.height);
  for (const auto& [width, height] : sizes) {
    Request request = draw_request(options.draw, options.prompt);
    request.width = width;
    request.height = height;
    plans.pictures.push_back({pipeline.complete(request), pipeline.plan(request)});
  }
  return plans;
}

}  // namespace

std::string plan_table(const DevicePlans& plans) {
  std::string text = plans.device;
  if (!plans.pictures.empty())
    text += fmt::format(", {} MiB available", mebibytes(plans.pictures.front().plan.available));
  text += '\n';
  for (const PlannedPicture& picture : plans.pictures) text += picture_table(picture);
  return text;
}

std::string plans_json(const std::string& model, const std::vector<DevicePlans>& devices) {
  OrderedJson list = OrderedJson::array();
  for (const DevicePlans& plans : devices) {
    OrderedJson pictures = OrderedJson::array();
    for (const PlannedPicture& picture : plans.pictures) pictures.push_back(picture_json(picture));
    list.push_back({{"device", plans.device}, {"pictures", pictures}});
  }
  return json_line({{"model", model}, {"devices", list}, {"version", version()}});
}

void plan(const PlanOptions& options) {
  const ModelLocation place =
      find_model_or_config(options.draw.model, options.config, ModelPlaces::of_this_process());
  std::vector<std::string> devices{options.draw.device};
  if (options.draw.device == "auto") devices = available_devices();
  std::vector<DevicePlans> plans;
  plans.reserve(devices.size());
  for (const std::string& device : devices) plans.push_back(plan_on(device, place, options));
  std::string text;
  if (options.draw.json) {
    text = plans_json(model_name(place.origin()), plans) + "\n";
  } else {
    for (const DevicePlans& one : plans) {
      if (!text.empty()) text += '\n';
      text += plan_table(one);
    }
  }
  print_to_stdout(text);
}

}  // namespace zimage::cli
