// Short bursts of all threads, the best one kept: on a shared machine the others measure the
// company.
#include "backend/cpu/peak.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include "backend/cpu/parallel.h"

namespace zimage::cpu {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double measure_read(const Kernels& kernels, int threads) {
  constexpr int kPasses = 4;
  constexpr std::size_t kFloats = std::size_t{64} << 18;  // 64 MiB
  const auto jobs = static_cast<std::size_t>(threads);
  std::vector<std::vector<float>> blocks(jobs);
  std::vector<float> sinks(jobs);
  parallel_for(threads, jobs,
               [&](std::size_t job, std::size_t /*thread*/) { blocks[job].assign(kFloats, 1.0F); });
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const Clock::time_point start = Clock::now();
    parallel_for(threads, jobs, [&](std::size_t job, std::size_t /*thread*/) {
      sinks[job] = kernels.read_sum(blocks[job].data(), kFloats);
    });
    const double bytes = static_cast<double>(jobs * kFloats * sizeof(float));
    best = std::max(best, bytes / seconds_since(start));
  }
  return best;
}

}  // namespace

double measure_fma(const Kernels& kernels, int threads, int bursts) {
  constexpr std::size_t kSteps = 100000;  // about a millisecond
  std::vector<float> sinks(static_cast<std::size_t>(threads));
  double flops = 0;
  double best = 0;
  for (int burst = 0; burst < bursts; ++burst) {
    const Clock::time_point start = Clock::now();
    parallel_for(threads, sinks.size(), [&](std::size_t job, std::size_t /*thread*/) {
      const double done = kernels.fma_burst(kSteps, &sinks[job]);
      if (job == 0) flops = done;
    });
    best = std::max(best, flops * threads / seconds_since(start));
  }
  return best;
}

Rates measure_peaks(const Kernels& kernels, int threads) {
  return {.flops = measure_fma(kernels, threads, 40), .bandwidth = measure_read(kernels, threads)};
}

}  // namespace zimage::cpu
