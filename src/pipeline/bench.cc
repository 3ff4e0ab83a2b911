// Repetition and medians.
#include "pipeline/bench.h"

#include <algorithm>

namespace zimage {
namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double total_of(const Timings& t) {
  return t.encode_prompt + t.denoise + t.decode;
}

Ceilings better(const Ceilings& a, const Ceilings& b) {
  return {.flops = std::max(a.flops, b.flops), .bandwidth = std::max(a.bandwidth, b.bandwidth)};
}

}  // namespace

BenchReport run_bench(Pipeline& pipeline, const Request& request, int repeat) {
  if (repeat < 1) {
    throw Error(ErrorCode::InvalidArgument,
                "repeat is " + std::to_string(repeat) + ", expected 1 or more");
  }
  BenchReport report;
  report.device = pipeline.device_description();
  report.plan = pipeline.plan(request);
  report.load_seconds = pipeline.generate(request).timings.load;
  report.ceilings = pipeline.measure_ceilings();
  std::array<std::vector<double>, 3> seconds;
  std::vector<double> pictures;
  for (int i = 0; i < repeat; ++i) {
    const Timings timings = pipeline.generate(request).timings;
    seconds[0].push_back(timings.encode_prompt);
    seconds[1].push_back(timings.denoise);
    seconds[2].push_back(timings.decode);
    pictures.push_back(total_of(timings));
  }
  report.ceilings = better(report.ceilings, pipeline.measure_ceilings());
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    report.stages[i] = {.stage = report.plan.stages[i].stage,
                        .seconds = median(seconds[i]),
                        .flops = report.plan.stages[i].flops};
  }
  report.picture_seconds = median(pictures);
  report.operations = pipeline.profile(request);
  std::sort(report.operations.begin(), report.operations.end(),
            [](const OpProfile& a, const OpProfile& b) { return a.seconds > b.seconds; });
  return report;
}

}  // namespace zimage
