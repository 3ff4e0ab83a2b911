// The terminal's answer comes as if it were typed: neither shown nor held back for a line's end.
#include "cli/terminal/terminal_query.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "cli/terminal/descriptors.h"

namespace zimage::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTimeout{200};
// A terminal that talks without end is not waited for.
constexpr std::size_t kMaxAnswer = 4096;
// Would this picture of one pixel be shown? Then the device attributes, which end the answer.
// Between them the cursor goes back to where it was, because some terminals print what they do not
// know.
constexpr std::string_view kQuestion =
    "\x1b"
    "7\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b"
    "8\x1b[K\x1b[c";
constexpr std::string_view kKittyAnswer = "\x1b_Gi=31;OK\x1b\\";
constexpr std::string_view kAttributes = "\x1b[?";

// The terminal's own state while it is asked. Written before g_asking is set, read after.
termios g_original;
std::atomic<bool> g_asking{false};
std::atomic<bool> g_late{false};

// Each fails for a terminal that is not the one that controls the process.
bool is_in_foreground() {
  const pid_t group = getpgrp();
  return tcgetpgrp(STDIN_FILENO) == group && tcgetpgrp(STDERR_FILENO) == group;
}

bool has_input(std::chrono::milliseconds wait) {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return ::poll(&input, 1, static_cast<int>(wait.count())) > 0;
}

// Keys are not shown and come one by one while this lives. Ctrl-C still ends the program; the keys
// that end or stop it without giving the terminal back do not.
class QuietTerminal {
 public:
  QuietTerminal() {
    if (tcgetattr(STDIN_FILENO, &g_original) != 0) return;
    termios quiet = g_original;
    quiet.c_lflag &= static_cast<tcflag_t>(~(ECHO | ICANON));
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    quiet.c_cc[VQUIT] = _POSIX_VDISABLE;
    quiet.c_cc[VSUSP] = _POSIX_VDISABLE;
    g_asking = true;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &quiet) != 0) g_asking = false;
  }
  ~QuietTerminal() { restore_queried_terminal(); }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
};

QueryAnswer read_answer() {
  const Clock::time_point end = Clock::now() + kTimeout;
  std::string bytes;
  QueryAnswer answer;
  while (!answer.complete && bytes.size() < kMaxAnswer) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) break;
    if (!has_input(left)) continue;
    char byte = 0;
    // One by one: what comes behind the answer is for others.
    const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    bytes += byte;
    answer = parse_query_answer(bytes);
  }
  return answer;
}

// Nothing where it cannot be asked now.
std::optional<QueryAnswer> ask() {
  // Lines that wait are looked for before the terminal's state changes, which would join them.
  if (!is_in_foreground() || has_input({})) return std::nullopt;
  const QuietTerminal quiet;
  if (!g_asking || has_input({})) return std::nullopt;
  if (write_all(STDERR_FILENO,
                {reinterpret_cast<const std::uint8_t*>(kQuestion.data()), kQuestion.size()}) != 0)
    return std::nullopt;
  return read_answer();
}

bool names_sixel(std::string_view attributes) {
  // The first is the terminal's class.
  std::size_t at = attributes.find(';');
  while (at != std::string_view::npos) {
    const std::size_t next = attributes.find(';', at + 1);
    const std::size_t end = std::min(next, attributes.size());
    if (attributes.substr(at + 1, end - at - 1) == "4") return true;
    at = next;
  }
  return false;
}

}  // namespace

QueryAnswer parse_query_answer(std::string_view bytes) {
  QueryAnswer answer;
  if (bytes.find(kKittyAnswer) != std::string_view::npos) answer.graphics = TerminalGraphics::Kitty;
  std::size_t at = bytes.find(kAttributes);
  while (at != std::string_view::npos && !answer.complete) {
    const std::size_t first = at + kAttributes.size();
    const std::size_t end = bytes.find_first_not_of("0123456789;", first);
    answer.complete = end != std::string_view::npos && end > first && bytes[end] == 'c';
    if (answer.complete && answer.graphics == TerminalGraphics::None &&
        names_sixel(bytes.substr(first, end - first)))
      answer.graphics = TerminalGraphics::Sixel;
    at = bytes.find(kAttributes, first);
  }
  return answer;
}

TerminalGraphics query_graphics() {
  static std::optional<QueryAnswer> answer;
  if (!answer) {
    answer = ask();
    g_late = answer && !answer->complete;
  }
  return answer ? answer->graphics : TerminalGraphics::None;
}

void drop_late_answer() {
  if (g_late.exchange(false) && is_in_foreground()) tcflush(STDIN_FILENO, TCIFLUSH);
}

void restore_queried_terminal() {
  if (g_asking.exchange(false)) tcsetattr(STDIN_FILENO, TCSANOW, &g_original);
}

}  // namespace zimage::cli
