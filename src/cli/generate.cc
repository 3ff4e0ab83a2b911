// The order of work: what can be refused without a model comes before the model is opened.
#include "cli/generate.h"

#include <chrono>
#include <string>

#include "cli/drawing/drawing_session.h"
#include "cli/drawing/from_image.h"
#include "cli/drawing/job.h"
#include "cli/drawing/output_file.h"
#include "cli/drawing/prompt.h"
#include "cli/terminal/console.h"
#include "cli/terminal/terminal_query.h"

namespace zimage::cli {
namespace {

// When the process ends at once.
void abandon() {
  restore_queried_terminal();
  OutputFile::abandon();
}

}  // namespace

int generate(const GenerateOptions& options, Interrupt& interrupt) {
  const auto start = std::chrono::steady_clock::now();
  const FromImage from = from_image(options);
  Console console(options.verbosity);
  const LogToConsole log(console);
  if (options.is_job()) {
    Job job(from, console, interrupt);
    interrupt.watch(abandon);
    return job.run();
  }
  const std::string prompt = from.options.prompt.value_or("");
  check_prompt("--prompt", prompt);
  interrupt.watch(abandon);
  Order order = make_order(from.options, prompt);
  order.start = start;
  DrawingSession session(from.options.draw, console);
  for (const std::string& note : source_notes(from, session.model())) console.note(note);
  session.draw(order, interrupt.token());
  return 0;
}

}  // namespace zimage::cli
