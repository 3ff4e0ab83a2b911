// The one way work is spread over threads on the CPU: a pool of this process's own, so that no two
// pools fight for the processors. Jobs are taken one by one by whichever thread is free, and nobody
// waits for a thread that has no job: on a busy machine a late thread costs nothing but its help.
#pragma once

#include <algorithm>
#include <cstddef>

namespace zimage::cpu {

// Processors that this process may use, at least 1.
int usable_processors();

// What parallel_for() runs: call(body, job, thread).
struct Jobs {
  void (*call)(const void* body, std::size_t job, std::size_t thread) = nullptr;
  const void* body = nullptr;
  std::size_t count = 0;  // below 2^32
};

// Runs all jobs on the caller and up to threads - 1 threads of the pool, which grows to that number
// and lives until the process ends. Callers on several threads take turns.
void run_jobs(int threads, const Jobs& jobs);

// body(job, thread) for every job in [0, jobs), taken in order; thread is in [0, threads), and no
// two calls at the same time have the same one. Returns when all are done. The body must neither
// throw nor call parallel_for.
template <class Body>
void parallel_for(int threads, std::size_t jobs, const Body& body) {
  if (threads <= 1 || jobs <= 1) {
    for (std::size_t job = 0; job < jobs; ++job) body(job, std::size_t{0});
    return;
  }
  run_jobs(threads,
           {.call = [](const void* object, std::size_t job,
                       std::size_t thread) { (*static_cast<const Body*>(object))(job, thread); },
            .body = &body,
            .count = jobs});
}

// body(begin, end) for ranges that cover [0, size), about four a thread so that a late thread can
// be helped out, none smaller than `grain` unless it is all there is: handing out a job costs about
// a microsecond.
template <class Body>
void parallel_ranges(int threads, std::size_t size, std::size_t grain, const Body& body) {
  if (size == 0) return;
  const std::size_t most = threads <= 1 ? 1 : 4 * static_cast<std::size_t>(threads);
  const std::size_t parts =
      std::clamp<std::size_t>(size / std::max<std::size_t>(grain, 1), 1, most);
  parallel_for(threads, parts, [&](std::size_t part, std::size_t /*thread*/) {
    body(size * part / parts, size * (part + 1) / parts);
  });
}

}  // namespace zimage::cpu
