// The one way work is spread over threads on the CPU: OpenMP, so that no two pools fight for the
// processors. Bodies must not throw.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstddef>

namespace zimage::cpu {

// body(job, thread) for every job in [0, jobs), taken in order by whichever of at most `threads`
// threads is free; thread is in [0, threads). Returns when all are done. A single job runs on the
// caller.
template <class Body>
void parallel_for(int threads, std::size_t jobs, const Body& body) {
  const auto used =
      static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(threads), jobs));
  if (used <= 1) {
    for (std::size_t job = 0; job < jobs; ++job) body(job, std::size_t{0});
    return;
  }
#pragma omp parallel for num_threads(used) schedule(dynamic, 1)
  for (std::size_t job = 0; job < jobs; ++job) {
    body(job, static_cast<std::size_t>(omp_get_thread_num()));
  }
}

// body(begin, end) for equal ranges that cover [0, size), one a thread, none smaller than `grain`
// unless it is all there is: starting a thread costs some microseconds.
template <class Body>
void parallel_ranges(int threads, std::size_t size, std::size_t grain, const Body& body) {
  const std::size_t parts = std::clamp<std::size_t>(size / std::max<std::size_t>(grain, 1), 1,
                                                    static_cast<std::size_t>(std::max(threads, 1)));
  if (size == 0) return;
  parallel_for(threads, parts, [&](std::size_t part, std::size_t /*thread*/) {
    body(size * part / parts, size * (part + 1) / parts);
  });
}

}  // namespace zimage::cpu
