// A long read-only block of memory that repeats a short one: its pages are the same few pages again
// and again, so that it takes an address range and almost no memory.
#pragma once

#include <cstddef>
#include <span>

namespace zimage {

// Owns one block. Like a mapped file, what was read of it counts as this process's memory until it
// is evicted.
class RepeatedMemory {
 public:
  // The smallest period, and the unit of periods: the system's page size.
  static std::size_t page_size();

  // At least `size` bytes in which `period` follows itself; its size is a positive multiple of
  // page_size(). Throws OutOfMemory.
  RepeatedMemory(std::span<const std::byte> period, std::size_t size);
  ~RepeatedMemory();
  RepeatedMemory(RepeatedMemory&& other) noexcept;
  RepeatedMemory& operator=(RepeatedMemory&& other) noexcept;
  RepeatedMemory(const RepeatedMemory&) = delete;
  RepeatedMemory& operator=(const RepeatedMemory&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Lets the pages that were read leave this process's memory. They can be read again.
  void evict() const;

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace zimage
