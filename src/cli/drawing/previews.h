// Pictures for people while they wait: previews into a file or the terminal, and the picture itself
// into the terminal.
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "cli/drawing/output_file.h"
#include "cli/options/options.h"
#include "cli/terminal/console.h"
#include "cli/terminal/terminal_picture.h"
#include "pipeline/pipeline.h"

namespace zimage::cli {

// Keeps showing previews to a hundredth of the time: what a step's previews took must have passed a
// hundred times over before a later step's are shown. Seconds since any point.
class PreviewBudget {
 public:
  enum class Place : std::uint8_t { Between, Last };

  // Whether the previews of `step` are shown, of which this is one: the first step's and the last
  // one's are, and all pictures' of a step or none.
  bool shows(std::int64_t step, Place place, double now);
  // What showing one took.
  void add(double seconds) { due_ += kTimes * seconds; }

 private:
  static constexpr double kTimes = 100;

  std::int64_t step_ = 0;
  bool shows_ = false;
  double due_ = 0;
};

class Previews {
 public:
  // For the pictures of `outputs`; `only`: the number of the one that is written. Tries the places
  // of the files: NAME-preview.png beside each. May ask the terminal what it shows
  // (query_graphics()). All must outlive this. Throws what OutputFile
  // throws, and InvalidArgument for standard output, which has no name.
  Previews(const GenerateOptions& options, const std::vector<OutputFile>& outputs, Console& console,
           std::stop_token stop);
  Previews(const Previews&) = delete;
  Previews& operator=(const Previews&) = delete;

  // For Pipeline::generate(). Must not outlive this.
  PreviewOptions sink();
  // With --show: a whole picture.
  void show(const Image& image);

 private:
  void take(const Preview& preview);
  void put(const Preview& preview);

  const GenerateOptions& options_;
  Console& console_;
  std::stop_token stop_;
  TerminalGraphics graphics_;
  PreviewBudget budget_;
  std::vector<OutputFile> files_;  // none where the terminal shows previews
};

}  // namespace zimage::cli
