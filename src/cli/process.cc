// Linux: file descriptors.
#include "cli/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <initializer_list>

namespace zimage::cli {

void fill_standard_descriptors() {
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number is the one that is missing, because those below it are open.
    if (fcntl(standard, F_GETFD) < 0) static_cast<void>(open("/dev/null", O_RDWR));
  }
}

}  // namespace zimage::cli
