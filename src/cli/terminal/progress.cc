// Formats durations, rates and the progress line.
#include "cli/terminal/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/bytes_text.h"

namespace zimage::cli {
namespace {

constexpr std::int64_t kBarCells = 20;

}  // namespace

std::string format_seconds(double seconds) {
  // Each bound is where the form before it would round up to the next one's first value.
  if (seconds < 0.995) return fmt::format("{:.2f} s", seconds);
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string format_rate(double steps, double seconds) {
  if (steps <= 0 || seconds <= 0) return "";
  const double rate = steps / seconds;
  return rate > 1 ? fmt::format("{:.3g} it/s", rate) : fmt::format("{:.3g} s/it", 1 / rate);
}

std::string rate_text(double rate, std::uint64_t left) {
  return fmt::format("{}/s, {} left", bytes_text(static_cast<std::uint64_t>(rate)),
                     format_seconds(static_cast<double>(left) / rate));
}

bool ProgressMeter::update(const Progress& progress, double now) {
  const bool begins =
      !started_ || progress.stage != progress_.stage || progress.step < progress_.step;
  if (begins) stage_begin_ = now;
  if (progress.step <= 1) first_step_ = now;
  started_ = true;
  progress_ = progress;
  last_step_ = now;
  return begins;
}

std::string ProgressMeter::stage_line() const {
  std::string line(name_of(progress_.stage));
  if (progress_.steps > 1) line += fmt::format(", {} steps", progress_.steps);
  return line;
}

std::string ProgressMeter::line(std::size_t columns) const {
  const auto fits = [columns](const std::string& text) { return text.size() <= columns; };
  const std::string name(name_of(progress_.stage));
  if (progress_.steps <= 1) return name.substr(0, columns);

  const std::string count = fmt::format("{} {}/{}", name, progress_.step, progress_.steps);
  std::string rate;
  const bool first = progress_.step == 1;
  const double elapsed = last_step_ - (first ? stage_begin_ : first_step_);
  if (progress_.step > 0 && elapsed > 0) {
    const auto done = static_cast<double>(first ? 1 : progress_.step - 1);
    const double left = elapsed / done * static_cast<double>(progress_.steps - progress_.step);
    rate = fmt::format(" {}, {} left", format_rate(done, elapsed), format_seconds(left));
  }
  const std::int64_t step = std::clamp<std::int64_t>(progress_.step, 0, progress_.steps);
  const auto filled = static_cast<std::size_t>(kBarCells * step / progress_.steps);
  const std::string bar = fmt::format(" [{:<{}}]", std::string(filled, '#'), kBarCells);
  if (fits(count + bar + rate)) return count + bar + rate;
  if (fits(count + rate)) return count + rate;
  return count.substr(0, columns);
}

}  // namespace zimage::cli
