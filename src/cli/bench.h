// `zimage bench`: how long each stage takes, and which share of the machine's peak that is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options.h"
#include "pipeline/pipeline.h"

namespace zimage::cli {

struct StageResult {
  std::string name;
  double seconds = 0;  // the best of all repeats
  double flops = 0;    // of one picture; convolutions counted as direct
};

struct BenchReport {
  Request request;  // with every default filled in
  std::string model;
  std::string device;
  int repeat = 1;
  Ceilings ceilings;                // measured in the same run
  double first_seconds = 0;         // the first picture, with the loading of weights
  double load_seconds = 0;          // the part of it that loads
  std::vector<StageResult> stages;  // of the warm pictures
  double warm_seconds = 0;          // the best whole warm picture
  std::uint64_t peak_memory = 0;    // bytes
};

// Draws one picture to load the weights, then `repeat` more; measures the ceilings before and
// after, and keeps the higher ones. Throws what Pipeline throws.
BenchReport run_bench(Pipeline& pipeline, const Request& request, int repeat);

// The table for people, each line ended.
std::string bench_table(const BenchReport& report);
// The same as one line of JSON, without a newline.
std::string bench_json(const BenchReport& report);

// Measures, and prints one of the two to standard output.
void bench(const BenchOptions& options);

}  // namespace zimage::cli
