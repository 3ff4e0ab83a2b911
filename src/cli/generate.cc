// The order of work: what can be refused without a model comes before the model is opened.
#include "cli/generate.h"

#include <fmt/format.h>

#include <chrono>
#include <string>

#include "base/quote.h"
#include "cli/drawing/drawing_session.h"
#include "cli/drawing/from_image.h"
#include "cli/drawing/job.h"
#include "cli/drawing/output_file.h"
#include "cli/drawing/prompt.h"
#include "cli/terminal/console.h"
#include "cli/terminal/terminal_query.h"

namespace zimage::cli {
namespace {

// Of a picture that is drawn again: what of it was not taken.
void tell_source(Console& console, const FromImage& from, const std::string& model) {
  for (const std::string& note : from.notes) console.note(note);
  if (!from.model.empty() && from.model != model) {
    console.note(fmt::format("{} was drawn by the model {}, this is {}: -m names another",
                             *from.options.from_image, quote(from.model), quote(model)));
  }
}

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
    Job job(from.options, console, interrupt);
    interrupt.watch(abandon);
    for (const std::string& note : from.notes) console.note(note);
    return job.run();
  }
  const std::string prompt = from.options.prompt.value_or("");
  check_prompt("--prompt", prompt);
  interrupt.watch(abandon);
  Order order = make_order(from.options, prompt);
  order.start = start;
  DrawingSession session(from.options.draw, console);
  tell_source(console, from, session.model());
  session.draw(order, interrupt.token());
  return 0;
}

}  // namespace zimage::cli
