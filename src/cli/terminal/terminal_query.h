// Asks the terminal itself which pictures it shows: a question out, its answer in.
#pragma once

#include <string_view>

#include "cli/terminal/terminal_picture.h"

namespace zimage::cli {

struct QueryAnswer {
  TerminalGraphics graphics = TerminalGraphics::None;
  bool complete = false;  // the part that comes last is there
};

// What a terminal's bytes say so far: Kitty where it takes that protocol's pictures, else Sixel
// where 4 is among its device attributes, which nearly every terminal tells. Other bytes are passed
// over. Sources: kitty's graphics protocol, "Querying support"; VT510, primary device attributes.
QueryAnswer parse_query_answer(std::string_view bytes);

// Asks once in a process, and waits 200 ms at most. None, and nothing is sent, where standard input
// and standard error are not the terminal in whose foreground the process runs, or where something
// was typed that nobody has read yet: it would be taken for the answer. What is typed before the
// answer is lost, what is typed behind it is not.
TerminalGraphics query_graphics();

// Where the answer did not come in time: throws away, the first time, what came since, be it the
// rest of the answer or typed. For the end of the process: a line editor passes an answer over.
void drop_late_answer();

// Gives the terminal back as it was, from any thread: for the end of the process.
void restore_queried_terminal();

}  // namespace zimage::cli
