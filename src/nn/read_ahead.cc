// madvise(2) on pieces of a request, by a few threads.
#include "nn/read_ahead.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace zimage {
namespace {

// Enough to keep a solid-state disk busy; they hardly compute.
constexpr int kThreads = 4;
constexpr std::size_t kPiece = std::size_t{8} << 20;

}  // namespace

void read_pages(std::span<const std::byte> mapped) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t before = reinterpret_cast<std::uintptr_t>(mapped.data()) % page;
  static_cast<void>(::madvise(const_cast<std::byte*>(mapped.data() - before),
                              mapped.size() + before, MADV_WILLNEED));
}

ReadAhead::ReadAhead() {
  for (int i = 0; i < kThreads; ++i)
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

ReadAhead::~ReadAhead() = default;  // jthreads stop and join

void ReadAhead::request(std::span<const std::byte> mapped) {
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t at = 0; at < mapped.size(); at += kPiece)
      pieces_.push_back(mapped.subspan(at, std::min(kPiece, mapped.size() - at)));
  }
  changed_.notify_all();
}

void ReadAhead::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !pieces_.empty(); })) {
    if (stop.stop_requested()) return;
    const std::span<const std::byte> piece = pieces_.front();
    pieces_.pop_front();
    lock.unlock();
    read_pages(piece);
    lock.lock();
  }
}

}  // namespace zimage
