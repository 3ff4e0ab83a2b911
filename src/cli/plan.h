// `zimage plan`: what pictures would need, stage by stage, without loading a weight.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"
#include "pipeline/pipeline.h"

namespace zimage::cli {

// One size on one device.
struct PlannedPicture {
  Request request;  // with every default filled in
  Plan plan;
};

struct DevicePlans {
  std::string device;  // Pipeline::device_description()
  std::vector<PlannedPicture> pictures;
};

// The table for people, each line ended.
std::string plan_table(const DevicePlans& plans);
// What is drawn: "256x256, 8 steps, 4 pictures". Every default is filled in.
std::string size_text(const Request& request);
// What the plan chose, for people: "every network stays loaded", ...
std::string choices_text(const Plan& plan);
// The same as one line of JSON for all devices, without a newline.
std::string plans_json(const std::string& model, const std::vector<DevicePlans>& devices);

// Plans every size on every device, and prints one of the two to standard output.
void plan(const PlanOptions& options);

}  // namespace zimage::cli
