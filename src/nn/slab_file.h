// Modules' slabs in a file that is mapped as it is: what enters is loaded weights in the form a
// backend computes with, what leaves is pages to which a module binds without reading, converting
// or packing anything. The file is a safetensors file of U8 tensors that begin at multiples of
// kPage, so that any of its readers can look into it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>

namespace zimage {

// Pages of a file, read only; they leave the process's memory with this.
class MappedSlab {
 public:
  MappedSlab() = default;
  // Maps `bytes` bytes of the open `file` from `begin`, a multiple of SlabFile::kPage. Throws
  // OutOfMemory.
  MappedSlab(int file, std::size_t begin, std::size_t bytes);
  ~MappedSlab();
  MappedSlab(MappedSlab&& other) noexcept;
  MappedSlab& operator=(MappedSlab&& other) noexcept;
  MappedSlab(const MappedSlab&) = delete;
  MappedSlab& operator=(const MappedSlab&) = delete;

  bool empty() const { return data_ == nullptr; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

class SlabFile {
 public:
  // Where slabs may begin: the largest page of any system.
  static constexpr std::size_t kPage = std::size_t{64} << 10;

  // What slabs depend on, in words or sums. A file is used where both are equal.
  struct Origin {
    std::string layout;   // the form of the weights
    std::string sources;  // the files they were loaded from
  };

  // Opens a whole file. Throws NotFound where there is none, Io where it cannot be read,
  // InvalidFile for what is damaged or of another origin, saying which.
  static SlabFile open(const std::filesystem::path& path, const Origin& origin);
  // Begins a file, under the name `path` + ".tmp" until finish() renames it; its folder is made.
  // Destroyed before that, it leaves nothing behind, and what a killed process left is overwritten.
  // Throws Io, also when another process is writing the same file.
  static SlabFile create(const std::filesystem::path& path, const Origin& origin);

  ~SlabFile();
  SlabFile(SlabFile&& other) noexcept;
  SlabFile& operator=(SlabFile&&) = delete;
  SlabFile(const SlabFile&) = delete;
  SlabFile& operator=(const SlabFile&) = delete;

  bool is_written() const { return temporary_.empty(); }
  // The slab of this name and size. Of a file that is being written: nothing when it has not been
  // put. Throws InvalidFile when a written file lacks it or has another size for it.
  MappedSlab find(const std::string& name, std::size_t bytes) const;
  // Appends a slab to a file that is being written, and gives its pages. Throws Io.
  MappedSlab put(const std::string& name, std::span<const std::byte> slab);
  // Writes the header, waits until the disk has everything, renames. Throws Io.
  void finish();

 private:
  struct Place {
    std::size_t begin = 0;
    std::size_t bytes = 0;
  };

  SlabFile(std::filesystem::path path, const Origin& origin, int file);

  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty when written
  Origin origin_;
  int file_ = -1;
  std::size_t end_ = kPage;  // where the next slab begins
  std::map<std::string, Place> slabs_;
};

}  // namespace zimage
