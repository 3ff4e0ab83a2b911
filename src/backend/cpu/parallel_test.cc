// The pool: every job once, distinct threads, callers that take turns, threads that sleep and wake.
#include "backend/cpu/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace zimage::cpu {
namespace {

TEST(ParallelFor, DoesEveryJobOnce) {
  for (const int threads : {1, 2, 3, 9}) {
    for (const std::size_t jobs : {0U, 1U, 2U, 7U, 1000U}) {
      std::vector<std::atomic<int>> done(jobs);
      for (int round = 0; round < 50; ++round) {
        parallel_for(threads, jobs, [&](std::size_t job, std::size_t /*thread*/) { ++done[job]; });
        for (const std::atomic<int>& count : done) ASSERT_EQ(count, round + 1);
      }
    }
  }
}

// Scratch memory is given out by thread: two jobs at once with one index would share it.
TEST(ParallelFor, GivesEachThreadItsOwnIndex) {
  constexpr int kThreads = 4;
  std::vector<std::atomic<int>> busy(kThreads);
  for (int round = 0; round < 300; ++round) {
    parallel_for(kThreads, 40, [&](std::size_t /*job*/, std::size_t thread) {
      ASSERT_LT(thread, busy.size());
      EXPECT_EQ(busy[thread]++, 0);
      std::this_thread::yield();
      --busy[thread];
    });
  }
}

// The pool keeps the threads of the largest team; a smaller one must not use more of them.
TEST(ParallelFor, UsesNoMoreThreadsThanAsked) {
  parallel_for(8, 100, [](std::size_t /*job*/, std::size_t /*thread*/) {});
  for (int round = 0; round < 100; ++round) {
    parallel_for(2, 50, [](std::size_t /*job*/, std::size_t thread) { EXPECT_LT(thread, 2U); });
  }
}

// What a job writes is seen by the caller, without further synchronisation.
TEST(ParallelFor, ReturnsWhenTheResultsAreThere) {
  std::vector<int> results(64);
  for (int round = 0; round < 500; ++round) {
    parallel_for(3, results.size(),
                 [&](std::size_t job, std::size_t /*thread*/) { results[job] = round; });
    for (const int result : results) ASSERT_EQ(result, round);
  }
}

TEST(ParallelFor, WakesThreadsThatSleep) {
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::atomic<int> sum = 0;
    parallel_for(4, 16, [&](std::size_t job, std::size_t /*thread*/) {
      std::this_thread::sleep_for(std::chrono::microseconds(300));
      sum += static_cast<int>(job);
    });
    EXPECT_EQ(sum, 120);
  }
}

TEST(ParallelFor, LetsCallersTakeTurns) {
  std::vector<std::thread> callers;
  std::atomic<int> sum = 0;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        parallel_for(3, 10, [&](std::size_t /*job*/, std::size_t /*thread*/) { ++sum; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 3 * 200 * 10);
}

TEST(ParallelRanges, CoversTheSizeInOrder) {
  for (const int threads : {1, 3}) {
    for (const std::size_t size : {0U, 1U, 5U, 1000U}) {
      for (const std::size_t grain : {0U, 1U, 100U, 5000U}) {
        std::vector<std::atomic<int>> done(size);
        parallel_ranges(threads, size, grain, [&](std::size_t begin, std::size_t end) {
          EXPECT_TRUE(end - begin >= grain || end - begin == size);
          for (std::size_t i = begin; i < end; ++i) ++done[i];
        });
        for (const std::atomic<int>& count : done) EXPECT_EQ(count, 1);
      }
    }
  }
}

TEST(UsableProcessors, AreAtLeastOne) {
  EXPECT_GE(usable_processors(), 1);
}

}  // namespace
}  // namespace zimage::cpu
