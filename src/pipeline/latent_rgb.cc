// Normal equations of a few unknowns, solved by elimination in f64.
#include "pipeline/latent_rgb.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "base/torch_rng.h"

namespace zimage {
namespace {

constexpr std::size_t kColours = 3;

// The mean of each square of pixels, channels apart: [rows * columns, 3].
std::vector<double> means_of(std::span<const float> pixels, const LatentShape& shape) {
  const auto rows = static_cast<std::size_t>(shape.rows);
  const auto columns = static_cast<std::size_t>(shape.columns);
  const std::size_t square = pixels.size() / (rows * columns * kColours);
  const auto scale = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(square))));
  std::vector<double> means(rows * columns * kColours);
  for (std::size_t y = 0; y < rows * scale; ++y) {
    for (std::size_t i = 0; i < columns * scale * kColours; ++i) {
      const std::size_t column = i / kColours / scale;
      means[(y / scale * columns + column) * kColours + i % kColours] +=
          static_cast<double>(pixels[y * columns * scale * kColours + i]);
    }
  }
  for (double& mean : means) mean /= static_cast<double>(scale * scale);
  return means;
}

// A symmetric positive definite system with three right sides, in place: rows [size, size + 3].
void eliminate(std::vector<double>& rows, std::size_t size) {
  const std::size_t width = size + kColours;
  for (std::size_t pivot = 0; pivot < size; ++pivot) {
    for (std::size_t row = 0; row < size; ++row) {
      if (row == pivot) continue;
      const double factor = rows[row * width + pivot] / rows[pivot * width + pivot];
      for (std::size_t i = pivot; i < width; ++i)
        rows[row * width + i] -= factor * rows[pivot * width + i];
    }
  }
  for (std::size_t row = 0; row < size; ++row) {
    for (std::size_t i = size; i < width; ++i) rows[row * width + i] /= rows[row * width + row];
  }
}

}  // namespace

LatentRgb::LatentRgb(std::span<const float> map, std::span<const float> pixels,
                     const LatentShape& shape)
    : channels_(shape.channels) {
  const auto channels = static_cast<std::size_t>(shape.channels);
  const std::size_t size = channels + 1;
  const std::size_t width = size + kColours;
  const std::vector<double> colours = means_of(pixels, shape);
  // A little of the unit matrix, so that channels without any change leave it solvable.
  constexpr double kRidge = 1e-6;
  std::vector<double> rows(size * width);
  std::vector<double> sample(width);
  const std::size_t count = map.size() / channels;
  for (std::size_t at = 0; at < count; ++at) {
    for (std::size_t i = 0; i < channels; ++i)
      sample[i] = static_cast<double>(map[at * channels + i]);
    sample[channels] = 1;
    for (std::size_t i = 0; i < kColours; ++i) sample[size + i] = colours[at * kColours + i];
    for (std::size_t row = 0; row < size; ++row) {
      for (std::size_t i = 0; i < width; ++i) rows[row * width + i] += sample[row] * sample[i];
    }
  }
  for (std::size_t row = 0; row < size; ++row)
    rows[row * width + row] += kRidge * static_cast<double>(count);
  eliminate(rows, size);
  for (std::size_t row = 0; row < size; ++row) {
    for (std::size_t i = 0; i < kColours; ++i) weights_.push_back(rows[row * width + size + i]);
  }
}

Image LatentRgb::image(std::span<const float> map, const LatentShape& shape) const {
  const auto channels = static_cast<std::size_t>(channels_);
  const std::size_t count = map.size() / channels;
  Image image{.width = shape.columns,
              .height = shape.rows,
              .rgb = std::vector<std::uint8_t>(count * kColours)};
  for (std::size_t at = 0; at < count; ++at) {
    for (std::size_t colour = 0; colour < kColours; ++colour) {
      double value = weights_[channels * kColours + colour];
      for (std::size_t i = 0; i < channels; ++i)
        value += static_cast<double>(map[at * channels + i]) * weights_[i * kColours + colour];
      const double level = value * 127.5 + 128.0;  // cut off: as rounded
      // NaN, which some later check tells of, is black.
      image.rgb[at * kColours + colour] =
          level > 0 ? static_cast<std::uint8_t>(std::min(level, 255.0)) : std::uint8_t{0};
    }
  }
  return image;
}

std::vector<float> fitting_map(const LatentShape& shape, const LatentScale& scale) {
  constexpr std::uint64_t kSeed = 1;
  TorchCpuGenerator generator(kSeed);
  const auto elements = static_cast<std::size_t>(shape.elements());
  const auto channels = static_cast<std::size_t>(shape.channels);
  const auto columns = static_cast<std::size_t>(shape.columns);
  std::vector<float> map(elements);
  // Sides of squares of one value, and their shares of the variance.
  for (const auto& [side, share] : {std::pair(8, 0.5F), std::pair(4, 0.3F), std::pair(1, 0.2F)}) {
    std::vector<float> normal(elements);
    generator.normal(normal);
    const auto step = static_cast<std::size_t>(side);
    for (std::size_t i = 0; i < elements; ++i) {
      const std::size_t row = i / channels / columns / step * step;
      const std::size_t column = i / channels % columns / step * step;
      map[i] += std::sqrt(share) * normal[(row * columns + column) * channels + i % channels];
    }
  }
  for (float& value : map) value = value / scale.scaling + scale.shift;
  return map;
}

}  // namespace zimage
