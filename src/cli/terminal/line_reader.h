// Standard input -> lines: edited on a terminal, as they are from a file or a pipe. Ends its wait
// when the program is told to stop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/terminal/line_editor.h"

namespace zimage::cli {

class LineReader {
 public:
  enum class Kind : std::uint8_t {
    Edited,  // a terminal whose keys are read one by one, shown on standard error
    Plain,   // a terminal that edits lines itself, where TERM is "dumb" or standard error elsewhere
    Piped,   // no terminal: no sign is shown
  };
  struct Answer {
    enum class Event : std::uint8_t {
      Line,
      Interrupt,  // Ctrl-C, on a terminal
      End,        // of the input, or Ctrl-D
    };
    Event event = Event::Line;
    std::string line = {};  // without its end; beyond kMaxBytes the rest is cut, and `cut` set
    bool cut = false;
  };
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 20;

  // Looks at the standard streams and at TERM.
  LineReader();

  Kind kind() const { return kind_; }

  // The next line, behind `sign` on a terminal. `history`, oldest first, comes with the arrow keys.
  // Throws Cancelled when `stop` is set while it waits, and Io.
  Answer read(const std::string& sign, const std::vector<std::string>& history,
              const std::stop_token& stop);

  // Gives a terminal back as it was, from any thread: for the end of the process.
  static void restore_terminal();

 private:
  Answer read_edited(const std::string& sign, const std::vector<std::string>& history, int wake);
  Answer read_line(int wake);
  void show(const std::string& sign) const;

  Kind kind_ = Kind::Piped;
  LineEditor editor_;
  std::string pending_;  // bytes that were read and belong to later lines
  bool ended_ = false;
};

}  // namespace zimage::cli
