// A file's bytes as memory, read only, without copying them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace zimage {

// Owns one mapping. A file that is truncated by somebody else while mapped ends the process
// (SIGBUS), as with every program that maps files.
class MappedFile {
 public:
  // Throws NotFound (with the system's reason) or InvalidFile for what is not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // `part` lies within bytes(). Lets its pages leave this process's memory: whoever reads them
  // again gets them back from the file.
  void evict(std::span<const std::byte> part) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Reads a whole (small) file. Throws NotFound, or InvalidFile when it exceeds `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::size_t limit);

}  // namespace zimage
