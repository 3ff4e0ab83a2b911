// Sums on the host.
#include "pipeline/beginning.h"

namespace zimage {

void Beginning::set_picture(std::span<const float> moments, const LatentScale& scale) {
  picture_ = sampled_tokens(moments, noise_.sample(), noise_.shape(), scale);
  const std::span<const float> first = noise_.get(0);
  start_.assign(first.begin(), first.end());
}

std::span<const float> Beginning::at(std::int64_t first, std::int64_t count, float sigma) {
  const auto size = static_cast<std::size_t>(noise_.shape().elements());
  const std::size_t begin = static_cast<std::size_t>(first) * size;
  const std::size_t length = static_cast<std::size_t>(count) * size;
  if (picture_.empty()) return noise_.get(0).subspan(begin, length);
  mixed_.resize(length);
  for (std::size_t i = 0; i < length; ++i)
    mixed_[i] = sigma * start_[begin + i] + (1.0F - sigma) * picture_[i % size];
  return mixed_;
}

std::span<const float> Beginning::noise(std::int64_t first, std::int64_t draw) {
  return noise_.get(draw).subspan(static_cast<std::size_t>(first * noise_.shape().elements()));
}

}  // namespace zimage
