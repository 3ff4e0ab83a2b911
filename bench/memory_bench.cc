// Draws one picture with random weights under a memory limit: prints what the plan said, what the
// system counted, the time of each stage, and a sum of the pixels, by which two runs are compared.
// On a card the count is the backend's own. Usage:
//   memory_bench MODEL WIDTH HEIGHT STEPS [LIMIT_MIB [all|none|auto [DEVICE]]]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>

#include "base/fnv1a.h"
#include "base/process_memory.h"
#include "pipeline/pipeline.h"

namespace {

std::uint64_t sum_of(const zimage::Image& image) {
  zimage::Fnv1a sum;
  sum.add(std::as_bytes(std::span(image.rgb)));
  return sum.value();
}

double mebibytes(std::size_t bytes) {
  return static_cast<double>(bytes) / 0x1p20;
}

void measure(int argc, char** argv) {
  const std::string keep = argc > 6 ? argv[6] : "auto";
  const std::string device = argc > 7 ? argv[7] : "cpu";
  zimage::Pipeline pipeline({.model = argv[1],
                             .device = device,
                             .keep = keep == "all"    ? zimage::Keep::All
                                     : keep == "none" ? zimage::Keep::None
                                                      : zimage::Keep::Auto,
                             .memory_limit = argc > 5 ? std::stoull(argv[5]) << 20 : 0,
                             .random_weights = true});
  const zimage::Request request{.prompt = "",
                                .width = std::stoll(argv[2]),
                                .height = std::stoll(argv[3]),
                                .steps = std::stoll(argv[4])};
  const zimage::Plan plan = pipeline.plan(request);
  std::printf("planned %.1f MiB of %.1f, keep %s, strips of %lld\n", mebibytes(plan.total),
              mebibytes(plan.available), plan.keep == zimage::Keep::All ? "all" : "none",
              static_cast<long long>(plan.strip_rows));
  for (const zimage::StagePlan& stage : plan.stages) {
    std::printf("  %-14s total %.1f MiB, %lld of %lld blocks streamed\n",
                std::string(zimage::name_of(stage.stage)).c_str(), mebibytes(stage.total),
                static_cast<long long>(stage.streamed), static_cast<long long>(stage.layers));
  }
  std::fflush(stdout);
  std::size_t in_use = 0;
  const zimage::Result result = pipeline.generate(request, [&](const zimage::Progress&) {
    in_use = std::max(in_use, pipeline.memory_in_use());
  });
  const double peak = mebibytes(device == "cpu" ? zimage::peak_resident_memory() : in_use);
  std::printf("measured %.1f MiB, planned %+.2f %%\n", peak,
              (mebibytes(plan.total) / peak - 1) * 100);
  std::printf("load %.1f s, text encoder %.1f s, denoise %.1f s, decode %.1f s\n",
              result.timings.load, result.timings.encode_prompt, result.timings.denoise,
              result.timings.decode);
  std::printf("pixels %016llx\n", static_cast<unsigned long long>(sum_of(result.images.front())));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr,
                 "usage: memory_bench MODEL WIDTH HEIGHT STEPS [LIMIT_MIB [KEEP [DEVICE]]]\n");
    return 2;
  }
  try {
    measure(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "memory_bench: %s\n", error.what());
  }
  return 1;
}
