// Writable memory of whole pages, for large numbers that are needed for a moment: it goes back to
// the system with its owner, while an allocator keeps what it was given back, up to tens of MiB.
#pragma once

#include <cstddef>
#include <utility>

namespace zimage {

class PageMemory {
 public:
  // Zeros. Throws OutOfMemory.
  explicit PageMemory(std::size_t bytes);
  ~PageMemory();
  PageMemory(PageMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  PageMemory& operator=(PageMemory&&) = delete;
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;

  void* data() const { return data_; }  // null where `bytes` was 0

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace zimage
