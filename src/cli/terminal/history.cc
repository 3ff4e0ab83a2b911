// One line of the file is one line of text. Several programs may add to it at once.
#include "cli/terminal/history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <system_error>
#include <utility>

#include "base/utf8.h"

namespace zimage::cli {
namespace {

// Far more than this program ever leaves there.
constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{64} << 20;

// Whether a line is kept at all.
bool fits(const std::string& line) {
  if (line.empty() || line.size() > History::kMaxLineBytes) return false;
  return !find_invalid_utf8(line) && std::none_of(line.begin(), line.end(), [](unsigned char c) {
    return c < 0x20 || c == 0x7f;
  });
}

void write_whole(int descriptor, const std::string& text) {
  // A write that is cut short is a full disk: half a line does no harm here.
  if (::write(descriptor, text.data(), text.size()) < 0) return;
}

}  // namespace

History::History(std::filesystem::path file) : file_(std::move(file)) {
  std::error_code failed;
  const std::uintmax_t bytes = std::filesystem::file_size(file_, failed);
  if (failed || bytes > kMaxFileBytes) return;
  std::ifstream stream(file_, std::ios::binary);
  std::size_t found = 0;
  for (std::string line; std::getline(stream, line); ++found) {
    if (fits(line) && (lines_.empty() || lines_.back() != line)) lines_.push_back(line);
  }
  if (lines_.size() > kMaxLines)
    lines_.erase(lines_.begin(), lines_.end() - static_cast<std::ptrdiff_t>(kMaxLines));
  if (found >= 2 * kMaxLines) shorten_file();
}

void History::add(const std::string& line) {
  if (!fits(line) || (!lines_.empty() && lines_.back() == line)) return;
  if (lines_.size() == kMaxLines) lines_.erase(lines_.begin());
  lines_.push_back(line);
  append_to_file(line);
}

void History::append_to_file(const std::string& line) const {
  if (file_.empty()) return;
  std::error_code failed;
  std::filesystem::create_directories(file_.parent_path(), failed);
  const int descriptor =
      ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (descriptor < 0) return;
  write_whole(descriptor, line + "\n");
  ::close(descriptor);
}

void History::shorten_file() const {
  std::string text;
  for (const std::string& line : lines_) text += line + "\n";
  const std::filesystem::path shorter = file_.string() + "." + std::to_string(::getpid());
  const int descriptor =
      ::open(shorter.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (descriptor < 0) return;
  const bool whole =
      ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(descriptor);
  std::error_code failed;
  if (whole) std::filesystem::rename(shorter, file_, failed);
  if (!whole || failed) std::filesystem::remove(shorter, failed);
}

std::filesystem::path History::default_file() {
  const auto folder = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::filesystem::path(value == nullptr ? "" : value);
  };
  // Relative paths are to be ignored. Source: XDG Base Directory Specification 0.8.
  if (const auto state = folder("XDG_STATE_HOME"); state.is_absolute())
    return state / "zimage" / "history";
  if (const auto home = folder("HOME"); home.is_absolute())
    return home / ".local" / "state" / "zimage" / "history";
  return {};
}

}  // namespace zimage::cli
