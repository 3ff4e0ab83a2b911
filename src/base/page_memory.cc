// mmap(2) without a file.
#include "base/page_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "base/error.h"

namespace zimage {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

std::size_t page_size() {
  return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

[[noreturn]] void throw_out_of_memory(std::size_t bytes) {
  throw Error(ErrorCode::OutOfMemory, "cannot allocate " + std::to_string(bytes) + " bytes");
}

}  // namespace

void* map_pages(std::size_t bytes) {
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : page_size();
  if (bytes > SIZE_MAX - 2 * kHugePage) throw_out_of_memory(bytes);
  const std::size_t kept = round_up(bytes, page_size());
  const std::size_t mapped = kept + alignment - page_size();
  void* range = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (range == MAP_FAILED) throw_out_of_memory(bytes);
  // What lies before and behind the aligned block goes back.
  auto* const begin = static_cast<std::byte*>(range);
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const std::size_t before = round_up(address, alignment) - address;
  const std::size_t behind = mapped - before - kept;
  if (before > 0) ::munmap(begin, before);
  if (behind > 0) ::munmap(begin + before + kept, behind);
  // Without huge pages the program is slower and right.
  if (bytes >= kHugePage) static_cast<void>(::madvise(begin + before, kept, MADV_HUGEPAGE));
  return begin + before;
}

void unmap_pages(void* data, std::size_t bytes) noexcept {
  ::munmap(data, round_up(bytes, page_size()));
}

PageMemory::PageMemory(std::size_t bytes)
    : data_(bytes == 0 ? nullptr : map_pages(bytes)), bytes_(bytes) {}

PageMemory::~PageMemory() {
  if (data_ != nullptr) unmap_pages(data_, bytes_);
}

}  // namespace zimage
