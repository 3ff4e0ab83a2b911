// A file or a folder that takes its name when it is whole, or is gone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "convert/convert.h"

namespace zimage {

// One at a time in a process.
class PendingOutput {
 public:
  enum class Kind : std::uint8_t { File, Folder };

  // Makes a folder of a free name beside `target` to write in. Throws InvalidArgument when `target`
  // exists and may not be replaced or is of the other kind (a folder is replaced only when it is
  // empty or a model's), NotFound when its own folder does not exist, Io.
  PendingOutput(std::filesystem::path target, Kind kind, bool replace);
  ~PendingOutput();
  PendingOutput(const PendingOutput&) = delete;
  PendingOutput& operator=(const PendingOutput&) = delete;

  // Where a file is written: of a folder what is below it, of a file its name. Makes the folders
  // that it lies in. Throws Io.
  std::filesystem::path place(const std::string& below) const;
  // Throws Io when the file system has less room than that.
  void expect_room(std::uint64_t bytes) const;
  // Gives the finished output its name. Throws Io.
  void publish();

  // See abandon_conversion().
  static void abandon();

 private:
  std::filesystem::path target_;
  std::filesystem::path folder_;  // the temporary one
  Kind kind_;
  bool replace_;
};

// A new file that is written at any place. Closed and on the disk after finish().
class NewFile {
 public:
  // Throws Io when it cannot be made.
  explicit NewFile(const std::filesystem::path& path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::span<const std::byte> bytes, std::uint64_t offset);
  // The file has `size` bytes; those that nobody wrote are zeros.
  void finish(std::uint64_t size);

 private:
  void flush();

  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t unflushed_ = 0;
};

}  // namespace zimage
