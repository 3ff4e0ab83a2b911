// Messages and the live line on standard error.
#include "cli/terminal/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "base/utf8.h"

namespace zimage::cli {
namespace {

// Back to the first column, and clear to the end of the line (ECMA-48 EL).
constexpr std::string_view kEraseLine = "\r\x1b[K";

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void write_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

ConsoleStyle stderr_style() {
  ConsoleStyle style;
  const char* term = std::getenv("TERM");
  const char* no_color = std::getenv("NO_COLOR");
  const bool plain = term == nullptr || std::string_view(term) == "dumb" ||
                     (no_color != nullptr && *no_color != '\0');
  style.redraws = !plain && isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (style.redraws && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.columns = size.ws_col;
  }
  return style;
}

std::string without_controls(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string result;
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    const std::size_t length = character.length == 0 ? 1 : character.length;
    const char32_t code = character.code;
    const bool control = character.length == 0 || (code < 0x20 && code != U'\n' && code != U'\t') ||
                         (code >= 0x7f && code < 0xa0);
    for (const char c : text.substr(0, length)) {
      const auto byte = static_cast<unsigned char>(c);
      if (control) {
        result += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15U]};
      } else {
        result += c;
      }
    }
    text.remove_prefix(length);
  }
  return result;
}

Console::Console(Verbosity verbosity, ConsoleStyle style,
                 std::function<void(std::string_view)> write, std::function<double()> clock)
    : verbosity_(verbosity), style_(style), write_(std::move(write)), clock_(std::move(clock)) {}

Console::Console(Verbosity verbosity)
    : Console(verbosity, stderr_style(), write_stderr, steady_seconds) {}

Console::~Console() {
  clear();
}

void Console::always(std::string_view line) {
  print(line);
}

void Console::note(std::string_view line) {
  if (verbosity_ != Verbosity::Quiet) print(line);
}

void Console::picture(std::string_view bytes) {
  if (verbosity_ == Verbosity::Quiet) return;
  const std::scoped_lock lock(mutex_);
  erase();
  write_(bytes);
}

void Console::detail(std::string_view line) {
  if (verbosity_ == Verbosity::Verbose) print(line);
}

void Console::status(std::string_view line) {
  if (verbosity_ == Verbosity::Quiet) return;
  if (!style_.redraws) return print(line);
  const std::lock_guard lock(mutex_);
  live_ = line.substr(0, style_.columns - 1);
  redraw();
}

void Console::live(std::string_view line) {
  if (style_.redraws) status(line);
}

void Console::progress(const Progress& progress) {
  if (verbosity_ == Verbosity::Quiet) return;
  const std::lock_guard lock(mutex_);
  const bool begins = meter_.update(progress, clock_());
  if (style_.redraws) {
    // The last column stays free: a character there makes some terminals wrap.
    const std::size_t columns = style_.columns - 1;
    const std::string prefix = prefix_.size() < columns ? prefix_ : "";
    live_ = prefix + meter_.line(columns - prefix.size());
    redraw();
  } else if (begins) {
    write_(prefix_ + meter_.stage_line() + "\n");
  }
}

void Console::set_prefix(std::string prefix) {
  const std::lock_guard lock(mutex_);
  prefix_ = std::move(prefix);
}

void Console::clear() {
  const std::lock_guard lock(mutex_);
  erase();
  live_.clear();
}

void Console::print(std::string_view line) {
  const std::lock_guard lock(mutex_);
  erase();
  write_(without_controls(line) + "\n");
  redraw();
}

void Console::redraw() {
  if (!live_.empty()) write_(std::string(kEraseLine) + live_);
}

void Console::erase() {
  if (!live_.empty()) write_(kEraseLine);
}

LogToConsole::LogToConsole(Console& console) {
  set_log_sink([&console](LogLevel level, std::string_view message) {
    if (level == LogLevel::Warning) {
      console.note("warning: " + std::string(message));
    } else {
      console.detail(message);
    }
  });
}

LogToConsole::~LogToConsole() {
  set_log_sink({});
}

}  // namespace zimage::cli
