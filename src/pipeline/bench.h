// Measuring a pipeline: stages and operations beside what the machine can do at best.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "pipeline/pipeline.h"

namespace zimage {

struct StageTiming {
  Stage stage = Stage::EncodePrompt;
  double seconds = 0;  // the median of the repetitions
  double flops = 0;
};

struct BenchReport {
  std::string device;
  Ceilings ceilings;        // measured before and after the pictures; the better of the two
  double load_seconds = 0;  // of the first picture
  std::array<StageTiming, 3> stages;
  double picture_seconds = 0;         // median of the stages' sum
  std::vector<OpProfile> operations;  // of one more picture, slowest first
  Plan plan;
};

// Draws once to load and warm up, then `repeat` times, then once more profiled.
// Throws InvalidArgument for a repeat under 1, and as generate() does.
BenchReport run_bench(Pipeline& pipeline, const Request& request, int repeat);

}  // namespace zimage
