// Atomic writing: a temporary file beside the target, renamed when it is whole.
#include "cli/drawing/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "cli/terminal/descriptors.h"

namespace zimage::cli {
namespace {

constexpr int kMaxNumber = 99999;

// The unfinished files of this process. abandon() holds the mutex for ever, so that nothing is
// created or renamed after it.
std::mutex g_unfinished_mutex;
std::set<std::string> g_unfinished;  // guarded by g_unfinished_mutex
// Each name is used once, so that the end of one file's life never means another's. Guarded, too.
std::uint64_t g_next_name = 0;

[[noreturn]] void fail(const std::string& what, int error) {
  throw Error(ErrorCode::Io, fmt::format("{}: {}", what, std::strerror(error)));
}

std::string cannot_write(const std::filesystem::path& path) {
  return fmt::format("cannot write {}", quote(path.string()));
}

// A file descriptor that is closed once.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  // Zero, or the error of closing: some file systems report a full disk only there.
  int close() { return ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno; }

 private:
  int fd_;
};

// An empty file of a free name in `folder`, removed at the end of its life unless it was renamed.
class TemporaryFile {
 public:
  // `target` is for messages.
  TemporaryFile(const std::filesystem::path& folder, const std::filesystem::path& target) {
    const std::lock_guard lock(g_unfinished_mutex);
    for (int attempt = 0;; ++attempt) {
      path_ = folder / fmt::format(".zimage-{}-{}.tmp", getpid(), g_next_name++);
      // Permissions are those of any new file; the user's umask narrows them.
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd_ >= 0) break;
      if (errno != EEXIST || attempt == kMaxNumber) fail(cannot_write(target), errno);
    }
    g_unfinished.insert(path_);
  }
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    const std::lock_guard lock(g_unfinished_mutex);
    if (g_unfinished.erase(path_) > 0) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return fd_; }
  int close() { return ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

// Gives the temporary file a name that nobody has. Zero or the system's error; EEXIST when it is
// taken.
int rename_to_free(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system without that flag: claim the name, then replace the claim.
  Descriptor claim(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (claim.get() < 0) return errno;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

bool is_standard_output_file(const struct stat& status) {
  struct stat standard{};
  return fstat(STDOUT_FILENO, &standard) == 0 && standard.st_dev == status.st_dev &&
         standard.st_ino == status.st_ino;
}

void check_format(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::string_view, 6> kOtherFormats = {".gif",  ".bmp",  ".tif",
                                                             ".tiff", ".avif", ".jxl"};
  if (std::find(kOtherFormats.begin(), kOtherFormats.end(), extension) != kOtherFormats.end()) {
    throw Error(ErrorCode::InvalidArgument,
                fmt::format("--output: pictures are written as PNG, JPEG or WebP, found {}",
                            quote(path.string())));
  }
}

// The folder of a file, as something that can be opened.
std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

void check_folder(const std::filesystem::path& folder) {
  struct stat status{};
  if (stat(folder.c_str(), &status) != 0) {
    const int error = errno;
    if (error != ENOENT) fail(fmt::format("--output: folder {}", quote(folder.string())), error);
    throw Error(ErrorCode::NotFound,
                fmt::format("--output: there is no folder {}", quote(folder.string())));
  }
  if (!S_ISDIR(status.st_mode)) {
    throw Error(ErrorCode::NotFound,
                fmt::format("--output: {} is no folder", quote(folder.string())));
  }
}

}  // namespace

std::filesystem::path numbered(const std::filesystem::path& path, int number) {
  const std::string name =
      fmt::format("{}-{}{}", path.stem().string(), number, path.extension().string());
  return path.parent_path() / name;
}

OutputFile::OutputFile(const std::optional<std::string>& argument, const std::string& default_name,
                       Overwrite overwrite)
    : overwrite_(overwrite), path_(argument.value_or(default_name)) {
  if (argument) classify(default_name);
  if (kind_ == Kind::StandardOutput && isatty(STDOUT_FILENO) == 1) {
    throw Error(ErrorCode::InvalidArgument,
                "--output: standard output is a terminal; send it to a file or a pipe");
  }
  if (kind_ == Kind::RegularFile) try_place();
}

std::vector<OutputFile> OutputFile::for_pictures(std::int64_t count) const {
  if (count == 1) return {*this};
  if (kind_ != Kind::RegularFile) {
    throw Error(
        ErrorCode::InvalidArgument,
        fmt::format("--output: {} takes one picture, found --count {}",
                    is_standard_output() ? "standard output" : quote(path_.string()), count));
  }
  std::vector<OutputFile> places(static_cast<std::size_t>(count), *this);
  int number = 0;
  for (OutputFile& place : places) {
    place.path_ = numbered(path_, ++number);
    place.try_place();
  }
  return places;
}

void OutputFile::classify(const std::string& default_name) {
  if (path_.empty())
    throw Error(ErrorCode::InvalidArgument, "--output: expected a path, found \"\"");
  struct stat status{};
  if (path_ == "-") {
    kind_ = Kind::StandardOutput;
  } else if (!path_.has_filename()) {
    check_folder(path_);
    path_ /= default_name;
  } else if (stat(path_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) {
      path_ /= default_name;
    } else if (is_standard_output_file(status)) {
      kind_ = Kind::StandardOutput;
    } else if (!S_ISREG(status.st_mode)) {
      kind_ = Kind::InPlace;
    }
  }
}

void OutputFile::try_place() {
  check_format(path_);
  check_folder(folder_of(path_));
  target_ = path_;
  struct stat status{};
  if (lstat(path_.c_str(), &status) != 0) {
    if (errno != ENOENT) fail(cannot_write(path_), errno);
  } else if (overwrite_ == Overwrite::Allowed) {
    if (S_ISDIR(status.st_mode)) fail(cannot_write(path_), EISDIR);
    // The file that a symbolic link names is replaced, not the link.
    std::error_code failed;
    const std::filesystem::path resolved = std::filesystem::weakly_canonical(path_, failed);
    if (!failed) target_ = resolved;
  }
  const TemporaryFile probe(folder_of(target_), path_);
}

std::filesystem::path OutputFile::publish(const std::filesystem::path& temporary) const {
  const std::lock_guard lock(g_unfinished_mutex);
  std::filesystem::path name = path_;
  int error = 0;
  if (overwrite_ == Overwrite::Allowed) {
    error = ::rename(temporary.c_str(), target_.c_str()) == 0 ? 0 : errno;
  } else {
    for (int number = 0; number <= kMaxNumber; ++number) {
      if (number > 0) name = numbered(path_, number);
      error = rename_to_free(temporary, name);
      if (error != EEXIST) break;
    }
  }
  if (error != 0) fail(cannot_write(name), error);
  g_unfinished.erase(temporary);
  return name;
}

std::filesystem::path OutputFile::write(std::span<const std::uint8_t> bytes,
                                        std::stop_token stop) const {
  const auto check = [this](int error) {
    if (error != 0)
      fail(is_standard_output() ? "cannot write to standard output" : cannot_write(path_), error);
  };
  const auto check_stop = [&stop] {
    if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "interrupted");
  };
  check_stop();
  if (kind_ == Kind::StandardOutput) {
    check(write_all(STDOUT_FILENO, bytes));
    return "-";
  }
  if (kind_ == Kind::InPlace) {
    Descriptor file(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    if (file.get() < 0) check(errno);
    check(write_all(file.get(), bytes));
    check(file.close());
    return path_;
  }
  TemporaryFile file(folder_of(target_), path_);
  check(write_all(file.descriptor(), bytes));
  check(file.close());
  check_stop();
  return publish(file.path());
}

void OutputFile::abandon() {
  g_unfinished_mutex.lock();
  for (const std::string& path : g_unfinished) ::unlink(path.c_str());
}

}  // namespace zimage::cli
