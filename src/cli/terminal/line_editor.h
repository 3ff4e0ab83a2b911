// The keys of a terminal in raw mode -> a line of text. What enters: bytes, one at a time. What
// leaves: the line, what of it to show, and what the user asks for. It touches no terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace zimage::cli {

class LineEditor {
 public:
  enum class Event : std::uint8_t {
    None,       // the line or the cursor may have changed
    Line,       // Enter: line() is whole
    Interrupt,  // Ctrl-C
    End,        // Ctrl-D on an empty line
    Suspend,    // Ctrl-Z
    Clear,      // Ctrl-L: the screen is to be cleared
  };

  // Begins an empty line; the arrows up and down bring those of `history`, oldest first.
  void begin(std::vector<std::string> history);
  // Takes the next byte. Bytes that are no UTF-8, keys without a meaning and what a
  // terminal answers change nothing.
  Event feed(char byte);

  // UTF-8 without control characters.
  const std::string& line() const { return line_; }

  // The part of the line around the cursor that `columns` have room for, and the column in it at
  // which the cursor stands, which is below `columns` where that is 2 or more.
  struct View {
    std::string text;
    std::size_t cursor = 0;
  };
  View view(std::size_t columns) const;

 private:
  enum class State : std::uint8_t {
    Text,
    Escape,
    Sequence,
    SingleShift,
    Application,  // behind "ESC _": an answer of kitty's, if a G follows
    Answer,       // up to its end, an escape or a control character
  };

  Event take_text(unsigned char byte);
  Event take_control(unsigned char byte);
  Event take_answer(unsigned char byte);
  void take_escaped(char byte);
  void take_sequence(char last);
  void move_by_key(char key, bool by_words);
  void add_to_character(unsigned char byte);
  void insert(std::string_view text);
  void erase(std::size_t from, std::size_t to);
  void recall(std::size_t place);
  std::size_t before() const;
  std::size_t after() const;
  std::size_t word_begin() const;
  std::size_t word_end() const;

  std::string line_;
  std::size_t cursor_ = 0;  // bytes; between two characters as a reader sees them
  std::string cut_;         // what Ctrl-K, Ctrl-U and Ctrl-W took away last
  State state_ = State::Text;
  std::string parameters_;  // of the control sequence that is being read
  std::string partial_;     // the first bytes of a character
  bool pasting_ = false;    // between the marks of a bracketed paste
  std::vector<std::string> history_;
  std::size_t place_ = 0;  // in history_; its size: the new line
  std::string draft_;      // the new line, while an old one is shown
};

// Columns of a terminal that `text` takes: of a character as a reader sees it, which may be several
// code points, those of the widest one.
std::size_t columns_of(std::string_view text);

}  // namespace zimage::cli
