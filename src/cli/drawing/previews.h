// Pictures for people while they wait: previews into a file or the terminal, and the picture itself
// into the terminal.
#pragma once

#include <stop_token>
#include <vector>

#include "cli/drawing/output_file.h"
#include "cli/options/options.h"
#include "cli/terminal/console.h"
#include "cli/terminal/terminal_picture.h"
#include "pipeline/pipeline.h"

namespace zimage::cli {

// What the options choose, or the environment tells; None where standard error is no terminal.
TerminalGraphics graphics_of(const ShowOptions& options);

class Previews {
 public:
  // For the pictures of `outputs`; `only`: the number of the one that is written. Tries the places
  // of the files: NAME-preview.png beside each. All must outlive this. Throws what OutputFile
  // throws, and InvalidArgument for standard output, which has no name.
  Previews(const GenerateOptions& options, const std::vector<OutputFile>& outputs, Console& console,
           std::stop_token stop);

  // For Pipeline::generate(). Must not outlive this.
  PreviewOptions sink();
  // With --show: a whole picture.
  void show(const Image& image);

 private:
  void take(const Preview& preview);

  const GenerateOptions& options_;
  Console& console_;
  std::stop_token stop_;
  TerminalGraphics graphics_;
  std::vector<OutputFile> files_;  // none where the terminal shows previews
};

}  // namespace zimage::cli
