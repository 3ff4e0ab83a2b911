// Short bursts of all threads, the best one kept: on a shared machine the others measure the
// company.
#include "backend/cpu/peak.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <vector>

#include "backend/cpu/parallel.h"

namespace zimage::cpu {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Pieces of one block after another, so that none is in a cache of up to 32 MiB when its turn comes
// again; larger ones are measured instead of the memory behind them.
double measure_read(const Kernels& kernels, int threads) {
  constexpr int kPasses = 4;
  constexpr std::size_t kTotal = std::size_t{64} << 18;  // floats of 64 MiB
  constexpr std::size_t kPieces = 8;
  const auto jobs = static_cast<std::size_t>(threads);
  const std::size_t piece = std::max(kTotal / jobs / kPieces, std::size_t{1} << 18);
  const std::size_t bytes = kPieces * piece * sizeof(float);
  std::vector<std::unique_ptr<float, decltype(&std::free)>> blocks;
  for (std::size_t job = 0; job < jobs; ++job) {
    constexpr std::size_t kHugePage = std::size_t{2} << 20;
    const std::size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    blocks.emplace_back(static_cast<float*>(std::aligned_alloc(kHugePage, rounded)), &std::free);
    if (blocks.back() == nullptr) return 0;
    static_cast<void>(madvise(blocks.back().get(), rounded, MADV_HUGEPAGE));
  }
  std::vector<float> sinks(jobs);
  parallel_for(threads, jobs, [&](std::size_t job, std::size_t /*thread*/) {
    std::fill_n(blocks[job].get(), kPieces * piece, 1.0F);
  });
  double best = 0;
  for (std::size_t turn = 0; turn < kPasses * kPieces; ++turn) {
    const Clock::time_point start = Clock::now();
    parallel_for(threads, jobs, [&](std::size_t job, std::size_t /*thread*/) {
      sinks[job] = kernels.read_sum(blocks[job].get() + turn % kPieces * piece, piece);
    });
    const double read = static_cast<double>(jobs * piece * sizeof(float));
    best = std::max(best, read / seconds_since(start));
  }
  return best;
}

// The best of `bursts` runs of all threads, each of which calls `burst(sink)` for the operations
// that it did.
template <class Burst>
double best_rate(int threads, int bursts, const Burst& burst) {
  std::vector<float> sinks(static_cast<std::size_t>(threads));
  double operations = 0;
  double best = 0;
  for (int turn = 0; turn < bursts; ++turn) {
    const Clock::time_point start = Clock::now();
    parallel_for(threads, sinks.size(), [&](std::size_t job, std::size_t /*thread*/) {
      const double done = burst(&sinks[job]);
      if (job == 0) operations = done;
    });
    best = std::max(best, operations * threads / seconds_since(start));
  }
  return best;
}

}  // namespace

double measure_fma(const Kernels& kernels, int threads, int bursts) {
  constexpr std::size_t kSteps = 100000;  // about a millisecond
  return best_rate(threads, bursts, [&](float* sink) { return kernels.fma_burst(kSteps, sink); });
}

double measure_dot(const Kernels& kernels, PanelFormat format, int threads, int bursts) {
  constexpr std::size_t kSteps = 50000;
  return best_rate(threads, bursts,
                   [&](float* sink) { return kernels.dot.burst(format, kSteps, sink); });
}

Rates measure_peaks(const Kernels& kernels, int threads) {
  return {.flops = measure_fma(kernels, threads, 40), .bandwidth = measure_read(kernels, threads)};
}

}  // namespace zimage::cpu
