// The meaning of the two operations on feature maps, as loops.
#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/reference/reference_backend.h"

namespace zimage {
namespace {

// A feature map read at a position; zero outside, and as if upsampled by `factor`.
const float* pixel(const Tensor& x, std::int64_t row, std::int64_t column, std::int64_t factor) {
  if (row < 0 || column < 0 || row >= x.dim(0) * factor || column >= x.dim(1) * factor)
    return nullptr;
  return x.as<float>() + ((row / factor) * x.dim(1) + column / factor) * x.dim(2);
}

// sums[o] += the products of one pixel with one place of the kernel, for every output channel.
void add_products(std::vector<double>& sums, const float* source, const Weight& weight,
                  std::int64_t tap) {
  const float* w = static_cast<const float*>(weight.data);  // [out, in, side, side]
  const std::int64_t taps = weight.kernel * weight.kernel;
  for (std::int64_t o = 0; o < weight.out; ++o) {
    double& sum = sums[static_cast<std::size_t>(o)];
    for (std::int64_t i = 0; i < weight.in; ++i) {
      sum +=
          static_cast<double>(source[i]) * static_cast<double>(w[(o * weight.in + i) * taps + tap]);
    }
  }
}

}  // namespace

void ReferenceBackend::do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                                 const ConvArgs& args) {
  const std::int64_t side = weight.kernel;
  const std::int64_t factor = args.upsample_2x ? 2 : 1;
  const std::int64_t step = args.downsample_2x ? 2 : 1;
  std::vector<double> bias(static_cast<std::size_t>(weight.out));
  if (!args.bias.empty()) std::copy_n(args.bias.as<float>(), weight.out, bias.begin());
  for (std::int64_t row = 0; row < out.dim(0); ++row) {
    for (std::int64_t column = 0; column < out.dim(1); ++column) {
      std::vector<double> sums = bias;
      for (std::int64_t tap = 0; tap < side * side; ++tap) {
        const float* source = pixel(x, row * step + step - 1 + tap / side - side / 2,
                                    column * step + step - 1 + tap % side - side / 2, factor);
        if (source != nullptr) add_products(sums, source, weight, tap);
      }
      float* target = out.as<float>() + (row * out.dim(1) + column) * weight.out;
      for (std::int64_t o = 0; o < weight.out; ++o) {
        const double before = args.accumulate ? static_cast<double>(target[o]) : 0.0;
        target[o] = static_cast<float>(before + sums[static_cast<std::size_t>(o)]);
      }
    }
  }
}

void ReferenceBackend::do_group_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                                     const Tensor& bias, const GroupNormArgs& args) {
  const std::int64_t pixels = x.dim(0) * x.dim(1);
  const std::int64_t channels = x.dim(2);
  const std::int64_t width = channels / args.groups;
  const double count = static_cast<double>(pixels * width);
  for (std::int64_t group = 0; group < args.groups; ++group) {
    const std::int64_t first = group * width;
    double mean = 0;
    double variance = 0;
    for (std::int64_t i = 0; i < pixels * width; ++i) {
      mean += static_cast<double>(x.as<float>()[i / width * channels + first + i % width]);
    }
    mean /= count;
    for (std::int64_t i = 0; i < pixels * width; ++i) {
      variance += std::pow(
          static_cast<double>(x.as<float>()[i / width * channels + first + i % width]) - mean, 2);
    }
    variance /= count;
    if (!args.statistics.empty()) {
      auto* kept = args.statistics.as<float>();
      if (!args.given) {
        kept[group] = static_cast<float>(mean);
        kept[args.groups + group] = static_cast<float>(variance);
      }
      mean = static_cast<double>(kept[group]);
      variance = static_cast<double>(kept[args.groups + group]);
    }
    const double factor = 1.0 / std::sqrt(variance + static_cast<double>(args.eps));
    for (std::int64_t i = 0; i < pixels * width; ++i) {
      const std::int64_t channel = first + i % width;
      const std::int64_t at = i / width * channels + channel;
      double value = (static_cast<double>(x.as<float>()[at]) - mean) * factor;
      value = value * static_cast<double>(weight.as<float>()[channel]) +
              static_cast<double>(bias.as<float>()[channel]);
      if (args.activation == Activation::Silu) value /= 1.0 + std::exp(-value);
      out.as<float>()[at] = static_cast<float>(value);
    }
  }
}

}  // namespace zimage
