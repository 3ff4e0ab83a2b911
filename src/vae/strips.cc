// Windows, and the moments of a whole from those of its parts.
#include "vae/strips.h"

#include <algorithm>
#include <span>

namespace zimage::vae {
namespace {

// Means and variances of parts of a map taken together. Source: Chan, Golub and LeVeque, Updating
// Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979.
class PooledMoments {
 public:
  explicit PooledMoments(std::int64_t groups)
      : means_(static_cast<std::size_t>(groups)), squares_(static_cast<std::size_t>(groups)) {}

  // part [2, groups]: means and variances of `weight` numbers, in any unit.
  void add(std::span<const float> part, double weight) {
    const double before = weight_;
    weight_ += weight;
    for (std::size_t g = 0; g < means_.size(); ++g) {
      const double distance = static_cast<double>(part[g]) - means_[g];
      const double variance = static_cast<double>(part[means_.size() + g]);
      means_[g] += distance * weight / weight_;
      squares_[g] += weight * (variance + distance * distance * before / weight_);
    }
  }

  std::vector<float> values() const {
    std::vector<float> values;
    values.reserve(2 * means_.size());
    for (const double mean : means_) values.push_back(static_cast<float>(mean));
    for (const double squares : squares_) values.push_back(static_cast<float>(squares / weight_));
    return values;
  }

 private:
  double weight_ = 0;
  std::vector<double> means_;
  std::vector<double> squares_;
};

}  // namespace

std::vector<Section> cut_into_sections(const VaeStrips& strips, std::size_t levels) {
  std::vector<Section> sections;
  for (std::size_t first = 0; first < levels;) {
    const std::size_t end = first < static_cast<std::size_t>(strips.kept) ? first + 1 : levels;
    const std::int64_t rows = strips.rows << first;  // as many of the map that begins here
    sections.push_back({.first = first, .end = end, .rows = rows << 2 * (levels - end)});
    first = end;
  }
  return sections;
}

Windows::Windows(std::int64_t map_rows, std::int64_t rows, std::int64_t halo)
    : map_rows_(map_rows),
      rows_(std::min(rows, map_rows)),
      halo_(halo),
      height_(std::min(rows_ + 2 * halo, map_rows)) {}

std::int64_t Windows::begin(std::int64_t i) const {
  return std::clamp<std::int64_t>(strip_begin(i) - halo_, 0, map_rows_ - height_);
}

MapRows Windows::strip(std::int64_t i) const {
  const std::int64_t first = strip_begin(i) - begin(i);
  return {
      .begin = first, .end = first + std::min(rows_, map_rows_ - strip_begin(i)), .of = height_};
}

void run_in_windows(const Run& run, const VaeConfig& config, const Windows& windows,
                    std::int64_t norms,
                    const std::function<void(std::int64_t window, Norms& norms)>& pass) {
  Backend& be = run.backend;
  Arena::Frame frame(run.arena);
  const Tensor statistics = frame.make(DType::F32, {norms, 2, config.groups});
  const auto pass_to = [&](std::int64_t i, std::int64_t known) {
    Norms by_whole(config, {.values = statistics, .known = known, .measured = windows.strip(i)});
    pass(i, by_whole);
  };
  for (std::int64_t known = 0; known < norms; ++known) {
    PooledMoments moments(config.groups);
    const Tensor measured = statistics.rows(known, known + 1);
    be.repeat(windows.count(), [&](std::int64_t i) {
      pass_to(i, known);
      const std::vector<float> part = be.download(measured);
      const MapRows strip = windows.strip(i);
      if (!part.empty()) moments.add(part, static_cast<double>(strip.end - strip.begin));
    });
    be.upload(measured, [&] { return moments.values(); });
  }
  be.repeat(windows.count(), [&](std::int64_t i) { pass_to(i, norms); });
}

}  // namespace zimage::vae
