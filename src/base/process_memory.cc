// Linux: /proc.
#include "base/process_memory.h"

#include <fstream>
#include <limits>
#include <string>
#include <string_view>

namespace zimage {
namespace {

std::size_t status_bytes(std::string_view wanted) {
  std::ifstream status("/proc/self/status");
  std::string key;
  while (status >> key) {
    std::size_t kibibytes = 0;
    if (key == wanted && status >> kibibytes) return kibibytes * 1024;
    status.ignore(4096, '\n');
  }
  return 0;
}

}  // namespace

std::size_t resident_memory() {
  return status_bytes("VmRSS:");
}

std::size_t peak_resident_memory() {
  // getrusage's maximum survives exec, so a program started by a larger one would report that
  // one's.
  return status_bytes("VmHWM:");
}

std::size_t available_memory() {
  std::ifstream info("/proc/meminfo");
  std::string key;
  std::size_t kibibytes = 0;
  std::string unit;
  while (info >> key >> kibibytes) {
    std::getline(info, unit);
    if (key == "MemAvailable:") return kibibytes * 1024;
  }
  return std::numeric_limits<std::size_t>::max();
}

}  // namespace zimage
