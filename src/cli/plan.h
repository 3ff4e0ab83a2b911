// `zimage plan`: what pictures would need, stage by stage, without loading a weight.
#pragma once

#include <string>
#include <vector>

#include "cli/options/options.h"
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
// The same as one line of JSON for all devices, without a newline.
std::string plans_json(const std::string& model, const std::vector<DevicePlans>& devices);

// Plans every size on every device, and prints one of the two to standard output.
void plan(const PlanOptions& options);

}  // namespace zimage::cli
