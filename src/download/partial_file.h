// Bytes of a download become a file that has its name only when it is whole and right.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>

#include "download/file_check.h"
#include "hub/listing.h"

namespace zimage::download {

// An unfinished download. What it holds on disk is always a beginning of the file, and it stays
// there until it is moved or discarded. Every function throws Io with the system's reason.
class PartialFile {
 public:
  // Opens `path` or makes it, with its folders. What an earlier download left is read into the
  // sum, `read` is told of it; more than the whole file's size is discarded.
  PartialFile(std::filesystem::path path, const hub::ListedFile& file, const BytesFn& read,
              const std::stop_token& stop);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  std::uint64_t bytes() const { return check_.bytes(); }
  bool is_whole() const { return bytes() == file_.bytes; }
  // True while the bytes of an earlier download are part of it.
  bool is_resumed() const { return is_resumed_; }

  void append(std::string_view bytes);
  // Back to no bytes.
  void restart();
  // FileCheck::problem; after it only restart, discard or move_to may be called.
  std::string problem() { return check_.problem(); }
  // Removes the file from disk.
  void discard();
  // Brings the bytes to the disk and gives them their name, in place of what has it.
  void move_to(const std::filesystem::path& target);

 private:
  [[noreturn]] void fail(const char* what, int error) const;

  const std::filesystem::path path_;
  const hub::ListedFile file_;
  int descriptor_ = -1;
  FileCheck check_;
  bool is_resumed_ = false;
};

}  // namespace zimage::download
