// Where previews go.
#include "cli/drawing/previews.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/error.h"
#include "cli/terminal/terminal_query.h"

namespace zimage::cli {
namespace {

constexpr int kPreviewColumns = 24;
constexpr int kPictureColumns = 48;

std::filesystem::path preview_path(const std::filesystem::path& picture) {
  return picture.parent_path() / (picture.stem().string() + "-preview.png");
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What the options choose, or the environment or the terminal tells; None where nothing would be
// sent.
TerminalGraphics graphics_of(const GenerateOptions& options) {
  const ShowOptions& show = options.show;
  if ((show.every == 0 && !show.picture) || isatty(STDERR_FILENO) != 1)
    return TerminalGraphics::None;
  if (show.graphics == "kitty") return TerminalGraphics::Kitty;
  if (show.graphics == "iterm2") return TerminalGraphics::ITerm2;
  if (show.graphics == "sixel") return TerminalGraphics::Sixel;
  if (show.graphics == "none") return TerminalGraphics::None;
  const std::optional<TerminalGraphics> known =
      detect_graphics([](const char* name) { return std::getenv(name); });
  if (known) return *known;
  return options.verbosity == Verbosity::Quiet ? TerminalGraphics::None : query_graphics();
}

}  // namespace

bool PreviewBudget::shows(std::int64_t step, Place place, double now) {
  if (step == step_) return shows_;
  shows_ = step_ == 0 || place == Place::Last || now >= due_;
  step_ = step;
  if (shows_) due_ = now;
  return shows_;
}

Previews::Previews(const GenerateOptions& options, const std::vector<OutputFile>& outputs,
                   Console& console, std::stop_token stop)
    : options_(options),
      console_(console),
      stop_(std::move(stop)),
      graphics_(graphics_of(options)) {
  if (options.show.picture && graphics_ == TerminalGraphics::None)
    console.note("--show: no terminal that is known to show pictures (see --terminal-graphics)");
  if (options.show.every == 0 || graphics_ != TerminalGraphics::None) return;
  for (const OutputFile& output : outputs) {
    if (output.is_standard_output()) {
      throw Error(ErrorCode::InvalidArgument,
                  "--preview: standard output has no name for a file beside it; name a file with "
                  "--output");
    }
    files_.emplace_back(preview_path(output.path()).string(), "", Overwrite::Allowed);
  }
}

PreviewOptions Previews::sink() {
  if (options_.show.every == 0) return {};
  return {.every = options_.show.every, .show = [this](const Preview& preview) { take(preview); }};
}

void Previews::show(const Image& image) {
  if (options_.show.picture && graphics_ != TerminalGraphics::None)
    console_.picture(terminal_picture(image, graphics_, kPictureColumns));
}

void Previews::take(const Preview& preview) {
  if (options_.only && *options_.only != preview.picture) return;
  const double start = seconds_now();
  const bool last = preview.step + options_.show.every >= preview.steps;
  const auto place = last ? PreviewBudget::Place::Last : PreviewBudget::Place::Between;
  if (!budget_.shows(preview.step, place, start)) return;
  put(preview);
  budget_.add(seconds_now() - start);
}

void Previews::put(const Preview& preview) {
  if (graphics_ != TerminalGraphics::None) {
    console_.picture(terminal_picture(preview.image, graphics_, kPreviewColumns));
    return;
  }
  const OutputFile& file = files_[options_.only ? 0 : static_cast<std::size_t>(preview.picture)];
  file.write(encode_png(preview.image, {}), stop_);
}

}  // namespace zimage::cli
