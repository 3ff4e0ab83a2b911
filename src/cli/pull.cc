// Shows what a download does.
#include "cli/pull.h"

#include <fmt/format.h>

#include "base/bytes_text.h"
#include "base/json_line.h"
#include "cli/terminal/console.h"
#include "cli/terminal/descriptors.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/redraw_timer.h"

namespace zimage::cli {
namespace {

std::string report(const PullOptions& options, const download::PullResult& result, double seconds) {
  OrderedJson json = {{"model", options.name.id()},
                      {"hub", options.hub == hub::HubKind::ModelScope ? "modelscope" : "hf"},
                      {"revision", result.revision}};
  if (!result.commit.empty()) json["commit"] = result.commit;
  json["folder"] = result.folder.string();
  json["files"] = result.totals.files;
  json["bytes"] = result.totals.bytes;
  json["fetched_bytes"] = result.totals.bytes_fetched;
  json["seconds"] = seconds;
  return json_line(json);
}

}  // namespace

std::string pull_line(const download::PullProgress& progress, double seconds, std::size_t columns) {
  std::string line = fmt::format("fetch {}/{} files, {} of {}", progress.files_done, progress.files,
                                 bytes_text(progress.bytes_done), bytes_text(progress.bytes));
  if (progress.bytes_fetched > 0 && seconds > 0) {
    const double rate = static_cast<double>(progress.bytes_fetched) / seconds;
    const std::string tail = ", " + rate_text(rate, progress.bytes - progress.bytes_done);
    if (line.size() + tail.size() <= columns) line += tail;
  }
  return line.substr(0, columns);
}

void pull(const PullOptions& options, Interrupt& interrupt) {
  interrupt.watch([] {});
  Console console(options.verbosity);
  const LogToConsole log(console);
  RedrawTimer timer;
  const std::size_t columns = stderr_style().columns - 1;
  const download::PullListener listener{
      .progress =
          [&](const download::PullProgress& progress) {
            if (timer.is_due()) console.live(pull_line(progress, timer.seconds(), columns));
          },
      .note = [&console](const std::string& line) { console.note(line); }};
  console.live(fmt::format("asking {} for {}", hub::name_of(options.hub), options.name.id()));
  const download::PullResult result =
      download::pull({.name = options.name,
                      .hub = options.hub,
                      .include = options.include,
                      .to = options.to,
                      .cache_dir = options.cache_dir,
                      .retries = options.retries},
                     hub::process_variables(), listener, interrupt.token());
  console.clear();
  const double seconds = timer.seconds();
  console.note(fmt::format("{} files, {}, of which {} fetched, in {}", result.totals.files,
                           bytes_text(result.totals.bytes), bytes_text(result.totals.bytes_fetched),
                           format_seconds(seconds)));
  print_to_stdout((options.json ? report(options, result, seconds) : result.folder.string()) +
                  "\n");
}

}  // namespace zimage::cli
