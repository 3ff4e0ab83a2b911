// Linux: file descriptors.
#include "cli/terminal/descriptors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <initializer_list>

#include "base/error.h"

namespace zimage::cli {

void fill_standard_descriptors() {
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number is the one that is missing, because those below it are open.
    if (fcntl(standard, F_GETFD) < 0) static_cast<void>(open("/dev/null", O_RDWR));
  }
}

int write_all(int descriptor, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return 0;
}

void print_to_stdout(std::string_view text) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  if (const int error = write_all(STDOUT_FILENO, {bytes, text.size()}); error != 0) {
    throw Error(ErrorCode::Io,
                fmt::format("cannot write to standard output: {}", std::strerror(error)));
  }
}

}  // namespace zimage::cli
