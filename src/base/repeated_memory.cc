// One file in memory, mapped over an address range as often as it takes.
#include "base/repeated_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace zimage {
namespace {

[[noreturn]] void throw_system(const char* what) {
  throw Error(ErrorCode::OutOfMemory,
              std::string(what) + ": " + std::system_category().message(errno));
}

// A file without a name, closed at the end of a scope; mappings outlive it.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::byte> contents)
      : fd_(::memfd_create("zimage", MFD_CLOEXEC)) {
    if (fd_ < 0) throw_system("cannot make a file in memory");
    while (!contents.empty()) {
      const ssize_t written = ::write(fd_, contents.data(), contents.size());
      if (written < 0 && errno != EINTR) {
        ::close(fd_);
        throw_system("cannot fill a file in memory");
      }
      if (written > 0) contents = contents.subspan(static_cast<std::size_t>(written));
    }
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::size_t RepeatedMemory::page_size() {
  return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

RepeatedMemory::RepeatedMemory(std::span<const std::byte> period, std::size_t size) {
  assert(!period.empty() && period.size() % page_size() == 0);
  const MemoryFile file(period);
  const std::size_t whole = (size + period.size() - 1) / period.size() * period.size();
  void* range =
      ::mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) throw_system("cannot reserve addresses");
  for (std::size_t at = 0; at < whole; at += period.size()) {
    void* place = static_cast<std::byte*>(range) + at;
    if (::mmap(place, period.size(), PROT_READ, MAP_SHARED | MAP_FIXED, file.get(), 0) ==
        MAP_FAILED) {
      const int error = errno;
      ::munmap(range, whole);
      errno = error;
      throw_system("cannot map a file in memory");
    }
  }
  data_ = static_cast<std::byte*>(range);
  size_ = whole;
}

RepeatedMemory::~RepeatedMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

RepeatedMemory::RepeatedMemory(RepeatedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

RepeatedMemory& RepeatedMemory::operator=(RepeatedMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void RepeatedMemory::evict() const {
  static_cast<void>(::madvise(data_, size_, MADV_DONTNEED));
}

}  // namespace zimage
