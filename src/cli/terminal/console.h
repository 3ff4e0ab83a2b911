// Everything that goes to standard error: messages, and a progress line that is redrawn in place on
// a terminal and is plain text elsewhere.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "cli/terminal/progress.h"
#include "cli/terminal/verbosity.h"

namespace zimage::cli {

// How standard error shows things.
struct ConsoleStyle {
  bool redraws = false;  // control characters are obeyed
  std::size_t columns = 80;
};

// The style of file descriptor 2: it redraws when it is a terminal, TERM is not "dumb" and NO_COLOR
// is not set.
ConsoleStyle stderr_style();

// `text` without what steers a terminal: control characters become \xNN. Lines and UTF-8 stay.
std::string without_controls(std::string_view text);

// May be called from several threads.
class Console {
 public:
  // `write` receives whole pieces of text; `clock` tells seconds since any point.
  Console(Verbosity verbosity, ConsoleStyle style, std::function<void(std::string_view)> write,
          std::function<double()> clock);
  // On standard error with the steady clock.
  explicit Console(Verbosity verbosity);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void set_verbosity(Verbosity verbosity) { verbosity_ = verbosity; }

  void always(std::string_view line);
  void note(std::string_view line);    // unless quiet
  void detail(std::string_view line);  // when verbose
  // What is going on before the pipeline reports anything.
  void status(std::string_view line);
  // The same where it can be redrawn, and nothing elsewhere: for what changes many times a second.
  void live(std::string_view line);
  void progress(const Progress& progress);
  // Bytes for the terminal, ended by a line end, as they are; not when quiet. The caller knows that
  // it is one that shows them.
  void picture(std::string_view bytes);
  // What stands before each progress line from here on.
  void set_prefix(std::string prefix);
  // Removes the progress line.
  void clear();

 private:
  void print(std::string_view line);
  void redraw();
  void erase();

  std::atomic<Verbosity> verbosity_;
  const ConsoleStyle style_;
  const std::function<void(std::string_view)> write_;
  const std::function<double()> clock_;
  std::mutex mutex_;  // guards what follows
  ProgressMeter meter_;
  std::string prefix_;
  std::string live_;  // the line that stands at the cursor
};

// Sends the library's messages to a console, which must outlive this object: warnings as notes, the
// others as details.
class LogToConsole {
 public:
  explicit LogToConsole(Console& console);
  ~LogToConsole();
  LogToConsole(const LogToConsole&) = delete;
  LogToConsole& operator=(const LogToConsole&) = delete;
};

}  // namespace zimage::cli
