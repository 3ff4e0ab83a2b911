// Reads /proc.
#include "cli/process.h"

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

}  // namespace zimage::cli
