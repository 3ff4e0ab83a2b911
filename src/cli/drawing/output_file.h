// Where a picture goes. The place is settled and tried before anything is drawn; the file appears
// whole, under its name, or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace zimage::cli {

enum class Overwrite : std::uint8_t { Never, Allowed };

class OutputFile {
 public:
  // `argument` is a file; a folder (one that exists, or any path that ends with "/"), which gets
  // `default_name`; "-" for standard output; or absent for `default_name` in the current folder.
  // Checks that a file can be made there, by making one and removing it.
  // Throws NotFound (no such folder), InvalidArgument (a name that promises a format that
  // is not written, or standard output that is a terminal), Io (nothing can be written there).
  OutputFile(const std::optional<std::string>& argument, const std::string& default_name,
             Overwrite overwrite);

  // A place for each of several pictures: name-1, name-2, ...; for one, this. Each is tried.
  // Throws as the constructor does, and InvalidArgument where the place is no regular file.
  std::vector<OutputFile> for_pictures(std::int64_t count) const;

  // As the user knows it; of a regular file, the name that it gets if that is free.
  const std::filesystem::path& path() const { return path_; }
  bool is_standard_output() const { return kind_ == Kind::StandardOutput; }

  // Writes and returns the name that the file got. Overwrite::Never takes `name`, or the first of
  // name-1, name-2, ... that does not exist. Devices and pipes are written in place.
  // Throws Cancelled when `stop` is set before the file has its name, and Io.
  std::filesystem::path write(std::span<const std::uint8_t> bytes, std::stop_token stop) const;

  // Removes what write() calls on other threads have not finished, and keeps any file from
  // appearing: those calls never return. For the end of the process.
  static void abandon();

 private:
  // A regular file gets its name when it is whole; a device or pipe is written in place.
  enum class Kind : std::uint8_t { RegularFile, InPlace, StandardOutput };

  // Decides what the user's path means.
  void classify(const std::string& default_name);
  // Throws unless a regular file can be made.
  void try_place();
  std::filesystem::path publish(const std::filesystem::path& temporary) const;

  Kind kind_ = Kind::RegularFile;
  Overwrite overwrite_ = Overwrite::Never;
  std::filesystem::path path_;  // as the user knows it
  std::filesystem::path
      target_;  // where a regular file goes: links resolved when it is overwritten
};

// "dir/name.png" and 2 -> "dir/name-2.png".
std::filesystem::path numbered(const std::filesystem::path& path, int number);

}  // namespace zimage::cli
