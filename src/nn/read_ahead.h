// Memory of mapped files is read before it is needed, by threads that wait for the disk in place of
// the one that computes.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

namespace zimage {

// Asks the system to read the file pages that `mapped` touches, and does not wait for the disk, but
// for room in its queue. Advice that the system does not take changes no result.
void read_pages(std::span<const std::byte> mapped);

// Several requests are on their way to the disk at a time, in the order in which they were asked
// for. Takes no memory of this process: what was read lies in the system's cache.
class ReadAhead {
 public:
  ReadAhead();
  // Drops what has not begun.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // `mapped` may be unmapped before it has been read: then nothing is read.
  void request(std::span<const std::byte> mapped);

 private:
  void work(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::span<const std::byte>> pieces_;  // guarded by mutex_
  std::vector<std::jthread> threads_;
};

}  // namespace zimage
