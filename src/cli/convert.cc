// Finds the model, and shows how far its conversion is.
#include "cli/convert.h"

#include <fmt/format.h>

#include <system_error>

#include "base/bytes_text.h"
#include "base/json_line.h"
#include "cli/terminal/console.h"
#include "cli/terminal/descriptors.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/redraw_timer.h"
#include "pipeline/locate_model.h"

namespace zimage::cli {
namespace {

// A file is taken as it is; everything else is a model.
ConvertSettings settings_of(const ConvertOptions& options) {
  ConvertSettings settings{.model = options.in,
                           .part = options.part.value_or(""),
                           .out = options.out,
                           .encoding = options.encoding,
                           .container = options.container,
                           .max_shard_bytes = options.max_shard_bytes,
                           .threads = options.threads,
                           .replace = options.force};
  std::error_code ignored;
  if (std::filesystem::is_regular_file(settings.model, ignored)) {
    settings.files.tokenizer = options.tokenizer.value_or("");
    return settings;
  }
  const ModelLocation location =
      locate_model({.text = options.in,
                    .revision = options.revision,
                    .cache_dir = options.cache_dir,
                    .source = "IN",
                    .files = {.tokenizer = options.tokenizer.value_or("")}});
  settings.model = location.folder;
  settings.files = location.part_files();
  return settings;
}

std::string report(const ConvertOptions& options, const ConvertResult& result, double seconds) {
  OrderedJson files = OrderedJson::array();
  for (const ConvertedFile& file : result.files)
    files.push_back({{"path", file.path}, {"bytes", file.bytes}});
  return json_line({{"in", options.in},
                    {"out", options.out},
                    {"encoding", name_of(options.encoding)},
                    {"files", files},
                    {"tensors", result.tensors},
                    {"bytes", result.bytes},
                    {"seconds", seconds}});
}

// "170 q4_k, 283 f32"
std::string tensors_text(const ConvertResult& result) {
  std::string text;
  for (const auto& [name, count] : result.tensors)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  return text;
}

}  // namespace

std::string convert_line(const ConvertProgress& progress, double seconds, std::size_t columns) {
  std::string line = fmt::format("convert {}, {} of {}", progress.part,
                                 bytes_text(progress.bytes_done), bytes_text(progress.bytes));
  const double rate = seconds > 0 ? static_cast<double>(progress.bytes_done) / seconds : 0;
  // Headers and padding are not counted as done.
  if (rate > 0 && progress.bytes_done < progress.bytes) {
    const std::string tail = ", " + rate_text(rate, progress.bytes - progress.bytes_done);
    if (line.size() + tail.size() <= columns) line += tail;
  }
  return line.substr(0, columns);
}

void convert(const ConvertOptions& options, Interrupt& interrupt) {
  interrupt.watch([] { abandon_conversion(); });
  Console console(options.verbosity);
  const LogToConsole log(console);
  RedrawTimer timer;
  const std::size_t columns = stderr_style().columns - 1;
  const ConvertResult result = zimage::convert(
      settings_of(options),
      [&](const ConvertProgress& progress) {
        if (timer.is_due()) console.live(convert_line(progress, timer.seconds(), columns));
      },
      interrupt.token());
  console.clear();
  const double seconds = timer.seconds();
  console.note(fmt::format("{} in {} ({}), in {}", bytes_text(result.bytes),
                           result.files.size() == 1 ? std::string("1 file")
                                                    : fmt::format("{} files", result.files.size()),
                           tensors_text(result), format_seconds(seconds)));
  print_to_stdout((options.json ? report(options, result, seconds) : options.out) + "\n");
}

}  // namespace zimage::cli
