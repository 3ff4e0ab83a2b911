// A command that asks for many requests: prompts and seeds in, pictures out, one model for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/drawing/drawing_session.h"
#include "cli/drawing/from_image.h"
#include "cli/drawing/prompt_lines.h"
#include "cli/drawing/tasks.h"
#include "cli/options/options.h"
#include "cli/terminal/console.h"
#include "cli/terminal/interrupt.h"

namespace zimage::cli {

class Job {
 public:
  // Reads the prompts; a seed is chosen for those that have none, the same for all. Throws what
  // read_prompts() throws. All references must outlive this.
  Job(const FromImage& from, Console& console, Interrupt& interrupt);

  // Draws every request, those excepted whose pictures are there, and reports those that cannot be
  // drawn, as far as it is known before the first is drawn. The exit code: 0, or 4 where some could
  // not. Throws what ends them all: what make_order() throws of the options that they share; and,
  // saying how far the job came, Cancelled after a signal and what DrawingSession::draw() throws of
  // files and devices.
  int run();

 private:
  // The order that the command's own options make, with no prompt and no place. Throws for all what
  // would be said of every line: of those options, and of the place of --output.
  Order command_order() const;
  // Makes the tasks of every line that has any.
  void make_tasks();
  // Leaves out what cannot be drawn and what is there.
  void check_tasks(DrawingSession& session);
  void draw_tasks(DrawingSession& session);
  // Encodes prompts ahead, from task `first` on. The first task whose prompts are not encoded.
  std::size_t encode_ahead(DrawingSession& session, std::size_t first);
  // Calls `function`, and reports what belongs to one request alone. False where that was so.
  template <typename Function>
  bool reports(const std::string& source, const Function& function);
  void report(const std::string& source, const std::string& error);
  // For the end of a job before its end.
  std::string how_to_go_on() const;

  const FromImage& from_;
  const GenerateOptions& options_;  // with the picture's
  Console& console_;
  Interrupt& interrupt_;
  std::vector<PromptLine> lines_;
  std::uint64_t random_;
  bool uses_random_ = false;
  std::vector<Task> tasks_;
  std::size_t pictures_ = 0;  // of all tasks that can be drawn
  std::size_t done_ = 0;      // of them
  std::size_t refused_ = 0;   // lines and tasks
};

}  // namespace zimage::cli
