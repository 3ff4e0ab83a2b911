// flock() on a file that others may remove.
#include "download/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/quote.h"

namespace zimage::download {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kPoll{50};
constexpr mode_t kMode = 0666;

int open_lock(const fs::path& path) {
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kMode);
  if (file < 0) {
    throw Error(ErrorCode::Io,
                quote(path.string()) + " cannot be made: " + std::system_category().message(errno));
  }
  return file;
}

// False when the path was given to another file since it was opened.
bool is_still(const fs::path& path, int file) {
  struct stat opened{};
  struct stat named{};
  return ::fstat(file, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace

FileLock::FileLock(const fs::path& path, const std::function<void()>& waits,
                   const std::stop_token& stop) {
  bool told = false;
  while (true) {
    const int file = open_lock(path);
    const int result = ::flock(file, LOCK_EX | LOCK_NB);
    const int error = errno;
    if (result == 0 && is_still(path, file)) {
      file_ = file;
      return;
    }
    ::close(file);
    if (result == 0 || error == EINTR) continue;
    if (error != EWOULDBLOCK) {
      log(LogLevel::Warning,
          "no lock on " + quote(path.string()) + ": " + std::system_category().message(error));
      return;
    }
    if (!told) waits();
    told = true;
    if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "interrupted");
    std::this_thread::sleep_for(kPoll);
  }
}

FileLock::~FileLock() {
  if (file_ >= 0) ::close(file_);
}

}  // namespace zimage::download
