// Prints what was found, and how far the reading is.
#include "cli/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/bytes_text.h"
#include "base/json_line.h"
#include "base/quote.h"
#include "cli/options/default_model.h"
#include "cli/terminal/console.h"
#include "cli/terminal/descriptors.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/redraw_timer.h"

namespace zimage::cli {
namespace {

// The bytes read, as a line that is redrawn.
class ReadingProgress {
 public:
  explicit ReadingProgress(Console& console) : console_(console) {}

  // Calls must not overlap.
  void operator()(std::uint64_t done, std::uint64_t total) {
    if (!timer_.is_due() && done < total) return;
    const double seconds = timer_.seconds();
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    std::string line = fmt::format("reading {} of {}", bytes_text(done), bytes_text(total));
    if (rate > 0) line += ", " + rate_text(rate, total - done);
    console_.live(line);
  }

 private:
  Console& console_;
  RedrawTimer timer_;
};

std::string verdict(const VerifiedFile& file) {
  if (!file.problem.empty()) return "BAD: " + file.problem;
  if (file.checks.empty()) return "nothing to check it against";
  return fmt::format("ok: {}", fmt::join(file.checks, ", "));
}

std::string title(const Verification& result) {
  std::string text;
  if (!result.name.empty()) {
    text = printable(result.name);
    if (!result.revision.empty()) text += " at " + printable(result.revision);
    text += '\n';
  }
  return text + printable(result.folder.string()) + "\n\n";
}

}  // namespace

std::string verify_table(const Verification& result) {
  std::size_t width = 0;
  for (const VerifiedFile& file : result.files) {
    width = std::max(width, printable(file.path).size());
  }
  std::string text = title(result);
  std::uint64_t bytes = 0;
  std::size_t bad = 0;
  for (const VerifiedFile& file : result.files) {
    bytes += file.bytes;
    bad += file.problem.empty() ? 0 : 1;
    text += fmt::format("{:<{}}{:>12}  {}\n", printable(file.path), width, bytes_text(file.bytes),
                        verdict(file));
  }
  for (const std::string& defect : result.defects) text += "BAD: " + defect + "\n";
  text += fmt::format("\n{} files, {}: ", result.files.size(), bytes_text(bytes));
  if (result.is_good()) return text + "nothing wrong was found\n";
  return text + fmt::format("{} damaged, {} missing or unusable\n", bad, result.defects.size());
}

std::string verify_json(const Verification& result) {
  OrderedJson files = OrderedJson::array();
  for (const VerifiedFile& file : result.files) {
    files.push_back({{"path", file.path},
                     {"bytes", file.bytes},
                     {"checks", file.checks},
                     {"problem", file.problem}});
  }
  return json_line({{"name", result.name},
                    {"revision", result.revision},
                    {"folder", result.folder.string()},
                    {"good", result.is_good()},
                    {"files", files},
                    {"defects", result.defects}});
}

bool verify(const VerifyOptions& options, Interrupt& interrupt) {
  interrupt.watch([] {});
  Console console(options.verbosity);
  const LogToConsole log(console);
  ReadingProgress progress(console);
  const Verification result = verify_model(
      model_query(options.model, ModelPlaces::of_this_process()),
      {.deep = options.deep,
       .threads = options.threads,
       .progress = [&progress](std::uint64_t done, std::uint64_t total) { progress(done, total); },
       .stop = interrupt.token()});
  console.clear();
  print_to_stdout(options.json ? verify_json(result) + "\n" : verify_table(result));
  return result.is_good();
}

}  // namespace zimage::cli
