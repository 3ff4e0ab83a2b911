// Three sums, and norms on the host.
#include "pipeline/guidance.h"

#include <cmath>
#include <vector>

namespace zimage {
namespace {

// The norm of each of `count` equal runs of rows.
std::vector<double> norms_of(Backend& be, const Tensor& x, std::int64_t count) {
  const std::int64_t rows = x.dim(0) / count;
  std::vector<double> norms;
  for (std::int64_t i = 0; i < count; ++i) {
    double squares = 0;
    for (const float value : be.download(x.rows(i * rows, (i + 1) * rows)))
      squares += double{value} * double{value};
    norms.push_back(std::sqrt(squares));
  }
  return norms;
}

}  // namespace

void apply_guidance(Backend& be, const Tensor& velocity, const Tensor& negative,
                    const Guidance& guidance, std::int64_t pictures) {
  const bool normalizes = guidance.normalization > 0;
  std::vector<double> before;
  if (normalizes) before = norms_of(be, velocity, pictures);
  be.add_scaled(negative, velocity, -1.0F);
  be.add_scaled(velocity, negative, -guidance.scale);
  if (!normalizes) return;
  const std::vector<double> after = norms_of(be, velocity, pictures);
  const std::int64_t rows = velocity.dim(0) / pictures;
  for (std::int64_t i = 0; i < pictures; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double most = before[at] * double{guidance.normalization};
    if (!(after[at] > most)) continue;
    const Tensor one = velocity.rows(i * rows, (i + 1) * rows);
    const Tensor copy = negative.rows(i * rows, (i + 1) * rows);
    be.copy(copy, one);
    be.add_scaled(one, copy, static_cast<float>(most / after[at] - 1.0));
  }
}

}  // namespace zimage
