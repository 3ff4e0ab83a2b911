// The pipeline's progress -> one line of text. Pure: the time is an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "pipeline/pipeline.h"

namespace zimage::cli {

// "0.42 s", "6.4 s", "38 s", "2 min 05 s", "1 h 02 min".
std::string format_seconds(double seconds);
// "1.27 s/it", or "3.9 it/s" when there is more than one a second.
std::string format_rate(double steps, double seconds);
// "1.00 MiB/s, 10 s left": what `left` bytes take at `rate` bytes a second, which is positive.
std::string rate_text(double rate, std::uint64_t left);

// Remembers when the running stage's steps were done, for its rate: that of the steps after the
// first, because the time until the first includes the loading of weights.
class ProgressMeter {
 public:
  // Takes one report at time `now` (seconds of any steady clock). True when it begins a stage.
  bool update(const Progress& progress, double now);

  // "denoise  3/8 [#######             ] 1.27 s/it, 6.4 s left", in at most `columns` characters
  // (the bar, then the rate are left out where there is no room). No control characters.
  std::string line(std::size_t columns) const;
  // The stage alone, for output that is not redrawn: "denoise, 8 steps".
  std::string stage_line() const;

 private:
  Progress progress_;
  double stage_begin_ = 0;
  double first_step_ = 0;
  double last_step_ = 0;
  bool started_ = false;
};

}  // namespace zimage::cli
