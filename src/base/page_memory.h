// Writable memory of whole pages, for large numbers: it goes back to the system when it is
// released, while an allocator keeps what it was given back, up to tens of MiB.
#pragma once

#include <cstddef>
#include <utility>

namespace zimage {

// Zeros, `bytes` > 0 of them. From 2 MiB on they begin at a huge page and ask for such pages: they
// cost a fault for each of theirs and not for every 4 KiB, and a table walk less for rows that lie
// far apart. Throws OutOfMemory.
void* map_pages(std::size_t bytes);
// Gives back what map_pages(bytes) gave.
void unmap_pages(void* data, std::size_t bytes) noexcept;

// Such memory and its owner.
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
