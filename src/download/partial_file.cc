// Appends, and renames at the end.
#include "download/partial_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/quote.h"

namespace zimage::download {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kMode = 0666;

}  // namespace

PartialFile::PartialFile(fs::path path, const hub::ListedFile& file, const BytesFn& read,
                         const std::stop_token& stop)
    : path_(std::move(path)), file_(file), check_(file) {
  std::error_code error;
  fs::create_directories(path_.parent_path(), error);
  if (error) fail("cannot be made", error.value());
  descriptor_ =
      ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, kMode);
  if (descriptor_ < 0) fail("cannot be made", errno);
  const off_t size = ::lseek(descriptor_, 0, SEEK_END);
  if (size < 0) fail("cannot be read", errno);
  if (static_cast<std::uint64_t>(size) > file_.bytes) {
    restart();
  } else if (size > 0) {
    add_file(check_, path_, static_cast<std::uint64_t>(size), read, stop);
    is_resumed_ = true;
  }
}

PartialFile::~PartialFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void PartialFile::fail(const char* what, int error) const {
  throw Error(ErrorCode::Io, quote(path_.string()) + " (" + printable(file_.path) + ") " + what +
                                 ": " + std::system_category().message(error));
}

void PartialFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot be written", errno);
    const auto count = static_cast<std::size_t>(written);
    check_.add(bytes.substr(0, count));
    bytes.remove_prefix(count);
  }
}

void PartialFile::restart() {
  if (::ftruncate(descriptor_, 0) != 0) fail("cannot be emptied", errno);
  check_ = FileCheck(file_);
  is_resumed_ = false;
}

void PartialFile::discard() {
  std::error_code ignored;
  fs::remove(path_, ignored);
}

void PartialFile::move_to(const fs::path& target) {
  // Without this a power failure could leave the name without the bytes.
  if (::fsync(descriptor_) != 0) fail("cannot be written", errno);
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  if (!error) fs::rename(path_, target, error);
  if (error) fail(("cannot become " + quote(target.string())).c_str(), error.value());
}

}  // namespace zimage::download
