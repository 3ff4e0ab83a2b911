// One process at a time: the lock files of the hubs' own clients.
#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>

namespace zimage::download {

// Holds flock() on a file from construction to destruction, as python's filelock does. The file
// stays. Threads of one process exclude each other as well.
class FileLock {
 public:
  // Makes the file and its folder. Calls `waits` once when somebody else holds the lock. Where the
  // file system has no such locks it goes on without, which is logged. Throws Io, and Cancelled
  // when `stop` is set while it waits.
  FileLock(const std::filesystem::path& path, const std::function<void()>& waits,
           const std::stop_token& stop);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace zimage::download
