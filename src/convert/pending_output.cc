// A temporary folder, renamed or moved out of when all is written.
#include "convert/pending_output.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <system_error>
#include <utility>

#include "base/bytes_text.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/write_at.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxAttempts = 1000;
// So much is left to the system's cache before it is waited for: an interrupt in between is obeyed
// soon.
constexpr std::uint64_t kFlushBytes = std::uint64_t{256} << 20;

// Guards the folder below. abandon() holds it for ever, so that nothing is renamed after it.
std::mutex g_mutex;
fs::path g_unfinished;

[[noreturn]] void fail(const fs::path& path, int error) {
  throw Error(ErrorCode::Io, "cannot write " + quote(path.string()) + ": " +
                                 std::system_category().message(error));
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void check_target(const fs::path& target, PendingOutput::Kind kind, bool replace) {
  const std::string name = quote(target.string());
  std::error_code error;
  if (!fs::is_directory(folder_of(target), error)) {
    throw Error(ErrorCode::NotFound,
                "OUT: there is no folder " + quote(folder_of(target).string()));
  }
  const fs::file_status status = fs::status(target, error);
  if (!fs::exists(status)) return;
  const bool is_folder = fs::is_directory(status);
  if (kind == PendingOutput::Kind::File && is_folder) {
    throw Error(ErrorCode::InvalidArgument,
                "OUT: " + name +
                    " is a folder, and one part is written as one file: name a "
                    ".safetensors or .gguf file");
  }
  if (kind == PendingOutput::Kind::Folder && !is_folder) {
    throw Error(ErrorCode::InvalidArgument,
                "OUT: " + name + " is a file, and a whole model is written as a folder");
  }
  if (!replace) {
    throw Error(ErrorCode::InvalidArgument, "OUT: " + name + " exists; --force replaces it");
  }
  if (is_folder && !fs::exists(target / "model_index.json", error) &&
      !fs::is_empty(target, error)) {
    throw Error(ErrorCode::InvalidArgument,
                "OUT: the folder " + name + " holds something else than a model, and is kept");
  }
}

// Zero or the system's error. With `replace` what had the name is at `from` afterwards, if it was a
// folder.
int rename_to(const fs::path& from, const fs::path& to, bool replace) {
  std::error_code ignored;
  const bool swaps = replace && fs::is_directory(to, ignored);
  const unsigned flags = swaps ? RENAME_EXCHANGE : replace ? 0U : RENAME_NOREPLACE;
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system without these flags.
  if (swaps) {
    const fs::path old = from.parent_path() / "replaced";
    if (::rename(to.c_str(), old.c_str()) != 0) return errno;
  } else if (!replace && fs::exists(fs::symlink_status(to, ignored))) {
    return EEXIST;
  }
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

PendingOutput::PendingOutput(fs::path target, Kind kind, bool replace)
    : target_(std::move(target)), kind_(kind), replace_(replace) {
  // "folder/" is the folder.
  if (!target_.has_filename() && target_.has_parent_path()) target_ = target_.parent_path();
  check_target(target_, kind_, replace_);
  const std::lock_guard lock(g_mutex);
  for (int attempt = 0;; ++attempt) {
    folder_ = folder_of(target_) /
              (".zimage-" + std::to_string(getpid()) + "-" + std::to_string(attempt) + ".tmp");
    std::error_code error;
    if (fs::create_directory(folder_, error)) break;
    if (error || attempt == kMaxAttempts) fail(target_, error ? error.value() : EEXIST);
  }
  g_unfinished = folder_;
  folder_ /= "new";
  std::error_code error;
  fs::create_directory(folder_, error);
  if (error) fail(target_, error.value());
}

PendingOutput::~PendingOutput() {
  const std::lock_guard lock(g_mutex);
  std::error_code ignored;
  fs::remove_all(folder_.parent_path(), ignored);
  g_unfinished.clear();
}

fs::path PendingOutput::place(const std::string& below) const {
  const fs::path path = folder_ / below;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) fail(target_, error.value());
  return path;
}

void PendingOutput::expect_room(std::uint64_t bytes) const {
  std::error_code error;
  const fs::space_info space = fs::space(folder_, error);
  if (error || space.available >= bytes) return;
  throw Error(ErrorCode::Io, "OUT: " + quote(target_.string()) + " needs " + bytes_text(bytes) +
                                 ", its disk has " + bytes_text(space.available) + " free");
}

void PendingOutput::publish() {
  const std::lock_guard lock(g_mutex);
  const fs::path from = kind_ == Kind::Folder ? folder_ : folder_ / target_.filename();
  if (const int error = rename_to(from, target_, replace_); error != 0) fail(target_, error);
  const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  // A file system that cannot do it keeps the name all the same.
  static_cast<void>(::fsync(folder));
  ::close(folder);
}

void PendingOutput::abandon() {
  g_mutex.lock();
  std::error_code ignored;
  if (!g_unfinished.empty()) fs::remove_all(g_unfinished, ignored);
}

NewFile::NewFile(const fs::path& path) : path_(path) {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(path_, errno);
}

NewFile::~NewFile() {
  if (fd_ >= 0) ::close(fd_);
}

void NewFile::write(std::span<const std::byte> bytes, std::uint64_t offset) {
  unflushed_ += bytes.size();
  if (!write_at(fd_, bytes, offset)) fail(path_, errno);
  if (unflushed_ >= kFlushBytes) flush();
}

void NewFile::flush() {
  unflushed_ = 0;
  if (::fdatasync(fd_) != 0 && errno != EINVAL) fail(path_, errno);
}

void NewFile::finish(std::uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) fail(path_, errno);
  flush();
  if (::close(std::exchange(fd_, -1)) != 0) fail(path_, errno);
}

void abandon_conversion() {
  PendingOutput::abandon();
}

}  // namespace zimage
