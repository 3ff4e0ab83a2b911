// Two passes of weighted sums in fixed point, rows first, with 8 bits between them.
#include "image/resize.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace zimage {
namespace {

constexpr double kLobes = 3;
constexpr int kFractionBits = 22;  // of a weight: sums of 8-bit numbers then fit 32 bits

double lanczos(double x) {
  if (x <= -kLobes || x >= kLobes) return 0;
  if (x == 0) return 1;
  const double angle = std::numbers::pi * x;
  return kLobes * std::sin(angle) * std::sin(angle / kLobes) / (angle * angle);
}

std::int64_t rounded(double x) {
  return static_cast<std::int64_t>(std::floor(x + 0.5));
}

// What one pixel of the result is made of.
struct Taps {
  std::int64_t first = 0;
  std::vector<std::int32_t> weights;
};

// For `size` pixels that cover `length` pixels from `start` on, of `extent`.
std::vector<Taps> taps_of(std::int64_t extent, double start, double length, std::int64_t size) {
  const double scale = length / static_cast<double>(size);
  const double widening = std::max(scale, 1.0);
  const double reach = kLobes * widening;
  std::vector<Taps> all(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) {
    const double center = start + (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(rounded(center - reach), 0);
    const auto last = std::min(rounded(center + reach), extent);
    std::vector<double> weights;
    double sum = 0;
    for (std::int64_t at = first; at < last; ++at) {
      weights.push_back(lanczos((static_cast<double>(at) - center + 0.5) / widening));
      sum += weights.back();
    }
    Taps& taps = all[static_cast<std::size_t>(i)];
    taps.first = first;
    for (const double weight : weights) {
      const double fixed = (sum != 0 ? weight / sum : weight) * (1 << kFractionBits);
      taps.weights.push_back(static_cast<std::int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
    }
  }
  return all;
}

// The sum of numbers `stride` apart.
std::uint8_t sum_of(const Taps& taps, const std::uint8_t* numbers, std::int64_t stride) {
  std::int32_t sum = 1 << (kFractionBits - 1);
  for (const std::int32_t weight : taps.weights) {
    sum += weight * *numbers;
    numbers += stride;
  }
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

Image across(const Image& image, const std::vector<Taps>& columns) {
  const auto width = static_cast<std::int64_t>(columns.size());
  Image out{.width = width, .height = image.height, .rgb = {}};
  out.rgb.reserve(static_cast<std::size_t>(width * image.height * 3));
  for (std::int64_t row = 0; row < image.height; ++row) {
    const std::uint8_t* line = image.rgb.data() + row * image.width * 3;
    for (const Taps& taps : columns) {
      for (int channel = 0; channel < 3; ++channel)
        out.rgb.push_back(sum_of(taps, line + taps.first * 3 + channel, 3));
    }
  }
  return out;
}

Image down(const Image& image, const std::vector<Taps>& rows) {
  Image out{.width = image.width, .height = static_cast<std::int64_t>(rows.size()), .rgb = {}};
  const std::int64_t stride = image.width * 3;
  out.rgb.reserve(rows.size() * static_cast<std::size_t>(stride));
  for (const Taps& taps : rows) {
    const std::uint8_t* first = image.rgb.data() + taps.first * stride;
    for (std::int64_t i = 0; i < stride; ++i) out.rgb.push_back(sum_of(taps, first + i, stride));
  }
  return out;
}

bool is_whole(double start, double length, std::int64_t extent, std::int64_t size) {
  return start == 0 && length == static_cast<double>(extent) && extent == size;
}

}  // namespace

Crop middle_of(const Extent& from, const Extent& to) {
  const auto width = static_cast<double>(from.width);
  const auto height = static_cast<double>(from.height);
  Crop crop{.left = 0, .top = 0, .width = width, .height = height};
  // Compared as products: equal proportions leave the picture whole, to the bit.
  const std::int64_t wide = from.width * to.height;
  const std::int64_t tall = from.height * to.width;
  if (wide > tall) {
    crop.width = height * static_cast<double>(to.width) / static_cast<double>(to.height);
    crop.left = (width - crop.width) / 2;
  } else if (tall > wide) {
    crop.height = width * static_cast<double>(to.height) / static_cast<double>(to.width);
    crop.top = (height - crop.height) / 2;
  }
  return crop;
}

Image resized(const Image& image, const Crop& part, const Extent& size) {
  Image out;
  const Image* from = &image;
  if (!is_whole(part.left, part.width, image.width, size.width)) {
    out = across(*from, taps_of(image.width, part.left, part.width, size.width));
    from = &out;
  }
  if (!is_whole(part.top, part.height, image.height, size.height))
    out = down(*from, taps_of(image.height, part.top, part.height, size.height));
  if (out.empty()) return image;
  return out;
}

}  // namespace zimage
