// The pool: one word holds the team's size and the jobs that are left, so that taking a job, seeing
// that there is none and telling an old round from a new one are one atomic step.
#include "backend/cpu/parallel.h"

#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace zimage::cpu {
namespace {

// How long a thread looks for work before it sleeps: longer than the serial code between two
// operations, shorter than what a scheduler takes away from somebody else for it.
constexpr std::chrono::microseconds kPatience{100};

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Returns when ready() or after kPatience.
template <class Ready>
bool spin_until(const Ready& ready) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

class Pool {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    quit_.store(true, std::memory_order_relaxed);
    announce();
    for (std::thread& helper : helpers_) helper.join();
  }

  void run(int threads, const Jobs& jobs) {
    const std::lock_guard<std::mutex> turn(turn_);
    grow(static_cast<std::size_t>(threads) - 1);
    // Every job of the last round is done, so nobody reads this.
    jobs_ = jobs;
    done_.store(0, std::memory_order_relaxed);
    const auto team = static_cast<std::uint64_t>(threads) - 1;
    ticket_.store(team << 32 | jobs.count, std::memory_order_release);
    announce();
    work(0);
    const auto finished = [&] { return done_.load(std::memory_order_acquire) == jobs.count; };
    if (spin_until(finished)) return;
    while (!finished()) {
      const std::uint32_t seen = done_.load(std::memory_order_acquire);
      if (seen != jobs.count) done_.wait(seen, std::memory_order_acquire);
    }
  }

 private:
  void grow(std::size_t helpers) {
    while (helpers_.size() < helpers) {
      const std::size_t index = helpers_.size() + 1;
      helpers_.emplace_back([this, index] { help(index); });
    }
  }

  void announce() {
    round_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) round_.notify_all();
  }

  // Does jobs until none is left.
  void work(std::size_t thread) {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while ((ticket & 0xffffffffU) != 0 && thread <= ticket >> 32) {
      if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
        continue;
      }
      // Owning a job keeps the round, and so jobs_, as it is.
      const std::size_t total = jobs_.count;
      jobs_.call(jobs_.body, total - (ticket & 0xffffffffU), thread);
      if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == total) done_.notify_one();
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  void help(std::size_t thread) {
    std::uint32_t seen = 0;
    while (!quit_.load(std::memory_order_relaxed)) {
      work(thread);
      const auto called = [&] { return round_.load(std::memory_order_acquire) != seen; };
      if (!spin_until(called)) {
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        round_.wait(seen, std::memory_order_seq_cst);
        sleepers_.fetch_sub(1, std::memory_order_seq_cst);
      }
      seen = round_.load(std::memory_order_acquire);
    }
  }

  std::mutex turn_;
  std::vector<std::thread> helpers_;
  Jobs jobs_;
  std::atomic<std::uint64_t> ticket_{0};  // helpers in the team << 32 | jobs left
  std::atomic<std::uint32_t> done_{0};
  std::atomic<std::uint32_t> round_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> quit_{false};
};

}  // namespace

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void run_jobs(int threads, const Jobs& jobs) {
  static Pool pool;
  pool.run(threads, jobs);
}

}  // namespace zimage::cpu
