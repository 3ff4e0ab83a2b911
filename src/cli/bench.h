// `zimage bench`: how long each stage takes, and which share of the machine's peak that is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options/options.h"
#include "pipeline/pipeline.h"

namespace zimage::cli {

// A stage of one request, or all operations of one kind in it.
struct BenchRow {
  std::string name;
  std::int64_t calls = 1;
  double seconds = 0;         // the median of all repeats
  double flops = 0;           // convolutions counted as direct; 0 for what only moves numbers
  std::uint64_t planned = 0;  // bytes of the device's memory, of a stage
  std::uint64_t memory = 0;   // the same as counted at its end
};

struct BenchReport {
  Request request;  // with every default filled in
  std::string model;
  std::string device;
  int repeat = 1;
  Ceilings ceilings;             // measured in the same run
  double first_seconds = 0;      // of the first time, with the loading of weights
  double load_seconds = 0;       // the part of it that loads
  std::vector<BenchRow> stages;  // of the warm repeats
  // The most time first. Each operation was waited for, so their sum exceeds that of the stages.
  std::vector<BenchRow> operations;
  double warm_seconds = 0;        // the median of whole warm requests
  double least_seconds = 0;       // the best of them
  std::string choices;            // what the plan does to fit
  std::uint64_t peak_memory = 0;  // bytes
};

// Draws the request once to load the weights, then `repeat` times; measures the ceilings before and
// after, and keeps the higher ones. Throws what Pipeline throws.
BenchReport run_bench(Pipeline& pipeline, const Request& request, int repeat);

// The table for people, each line ended.
std::string bench_table(const BenchReport& report);
// The same as one line of JSON, without a newline.
std::string bench_json(const BenchReport& report);

// Measures, and prints one of the two to standard output.
void bench(const BenchOptions& options);

}  // namespace zimage::cli
