// Linux: /proc and file descriptors.
#include "cli/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace zimage::cli {

std::uint64_t peak_memory() {
  // getrusage's maximum survives exec, so a program started by a larger one would report that
  // one's.
  std::ifstream status("/proc/self/status");
  std::string key;
  while (status >> key) {
    std::uint64_t kibibytes = 0;
    if (key == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
    status.ignore(4096, '\n');
  }
  return 0;
}

void fill_standard_descriptors() {
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number is the one that is missing, because those below it are open.
    if (fcntl(standard, F_GETFD) < 0) static_cast<void>(open("/dev/null", O_RDWR));
  }
}

}  // namespace zimage::cli
