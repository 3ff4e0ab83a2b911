// Group normalisation and the choice of a convolution: feature maps [H, W, C].
#include <algorithm>
#include <cmath>

#include "backend/cpu/conv3x3.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/parallel.h"

namespace zimage {
namespace {

using cpu::Kernels;

// A piece of a map whose two passes (mean, then deviations) stay in the second cache.
constexpr std::size_t kPieceBytes = 131072;
// Runs of pieces that are summed up apart; their number, not the threads', decides the result.
constexpr std::size_t kMostRuns = 64;

std::size_t as_size(std::int64_t extent) {
  return static_cast<std::size_t>(extent);
}
std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

struct MapCut {
  std::size_t pixels = 0;
  std::size_t channels = 0;
  std::size_t piece = 0;   // pixels
  std::size_t pieces = 0;  // 0 of an empty map
  std::size_t runs = 0;

  explicit MapCut(const Tensor& x)
      : pixels(as_size(x.dim(0) * x.dim(1))), channels(as_size(x.dim(2))) {
    if (pixels == 0 || channels == 0) return;
    piece = std::max<std::size_t>(1, kPieceBytes / (channels * sizeof(float)));
    pieces = ceil_div(pixels, piece);
    runs = std::min(pieces, kMostRuns);
  }

  // Doubles: mean and squares of a run and of one of its pieces, at most one group a channel;
  // floats: two a channel.
  std::size_t run_bytes() const {
    return ceil_div(channels * (4 * sizeof(double) + 2 * sizeof(float)), 64) * 64;
  }
  std::size_t scratch() const { return runs * run_bytes() + 3 * channels * sizeof(float); }
};

// What one run has summed up: for each group the mean and the squared deviations from it.
struct GroupSums {
  double* mean;
  double* squares;
};

// Adds piece `b` of `more` numbers to `a` of `count` (Chan, Golub, LeVeque 1979).
void merge(const GroupSums& a, const GroupSums& b, std::size_t groups, double count, double more) {
  for (std::size_t g = 0; g < groups; ++g) {
    const double delta = b.mean[g] - a.mean[g];
    const double share = more / (count + more);
    a.mean[g] += delta * share;
    a.squares[g] += b.squares[g] + delta * delta * count * share;
  }
}

struct GroupNormTask {
  const Kernels& kernels;
  const MapCut& cut;
  const float* x;
  std::size_t groups;
  std::byte* scratch;

  std::size_t first_pixel(std::size_t run) const {
    return std::min(cut.pixels, cut.pieces * run / cut.runs * cut.piece);
  }
  double numbers(std::size_t pixels) const {
    const std::size_t width = cut.channels / groups;
    return static_cast<double>(pixels) * static_cast<double>(width);
  }
  GroupSums sums(std::size_t run) const {
    auto* base = reinterpret_cast<double*>(scratch + run * cut.run_bytes());
    return {base, base + groups};
  }

  void sum_run(std::size_t run) const {
    const GroupSums total = sums(run);
    const GroupSums part{total.squares + groups, total.squares + 2 * groups};
    auto* floats = reinterpret_cast<float*>(part.squares + groups);
    const std::size_t begin = first_pixel(run);
    const std::size_t end = first_pixel(run + 1);
    for (std::size_t pixel = begin; pixel < end; pixel += cut.piece) {
      const GroupSums target = pixel == begin ? total : part;
      const std::size_t pixels = std::min(cut.piece, end - pixel);
      kernels.group_stats({.x = x + pixel * cut.channels,
                           .pixels = pixels,
                           .channels = cut.channels,
                           .groups = groups,
                           .mean = target.mean,
                           .squares = target.squares,
                           .scratch = floats});
      if (pixel != begin) merge(total, part, groups, numbers(pixel - begin), numbers(pixels));
    }
  }

  // Sums up over `threads`: run 0 becomes the sum of all.
  void sum(int threads) const {
    cpu::parallel_for(threads, cut.runs,
                      [&](std::size_t run, std::size_t /*thread*/) { sum_run(run); });
    for (std::size_t run = 1; run < cut.runs; ++run) {
      const std::size_t begin = first_pixel(run);
      const std::size_t pixels = first_pixel(run + 1) - begin;
      merge(sums(0), sums(run), groups, numbers(begin), numbers(pixels));
    }
  }

  // Of what was summed up.
  double mean(std::size_t group) const { return sums(0).mean[group]; }
  double variance(std::size_t group) const { return sums(0).squares[group] / numbers(cut.pixels); }
  void keep(float* statistics) const {
    for (std::size_t g = 0; g < groups; ++g) {
      statistics[g] = static_cast<float>(sums(0).mean[g]);
      statistics[groups + g] = static_cast<float>(variance(g));
    }
  }
};

}  // namespace

std::size_t CpuBackend::group_norm_scratch(const Tensor& x) const {
  return MapCut(x).scratch();
}

void CpuBackend::do_group_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                               const Tensor& bias, const GroupNormArgs& args) {
  const MapCut cut(x);
  if (cut.pieces == 0) return;
  need_scratch(cut.scratch());
  const GroupNormTask task{.kernels = row_kernels_,
                           .cut = cut,
                           .x = x.as<float>(),
                           .groups = as_size(args.groups),
                           .scratch = scratch_};
  const float* given = args.given ? args.statistics.as<float>() : nullptr;
  if (given == nullptr) {
    task.sum(threads_);
    if (!args.statistics.empty()) task.keep(args.statistics.as<float>());
  }
  auto* mean = reinterpret_cast<float*>(scratch_ + cut.runs * cut.run_bytes());
  float* factor = mean + cut.channels;
  const std::size_t width = cut.channels / task.groups;
  for (std::size_t c = 0; c < cut.channels; ++c) {
    const std::size_t g = c / width;
    const double variance = given ? static_cast<double>(given[task.groups + g]) : task.variance(g);
    const double scale = 1.0 / std::sqrt(variance + static_cast<double>(args.eps));
    mean[c] = given ? given[g] : static_cast<float>(task.mean(g));
    factor[c] = static_cast<float>(scale * static_cast<double>(weight.as<float>()[c]));
  }
  cpu::parallel_ranges(threads_, cut.pixels, cut.piece / 8 + 1,
                       [&](std::size_t begin, std::size_t end) {
                         row_kernels_.group_apply({.out = out.as<float>() + begin * cut.channels,
                                                   .x = x.as<float>() + begin * cut.channels,
                                                   .mean = mean,
                                                   .factor = factor,
                                                   .bias = bias.as<float>(),
                                                   .pixels = end - begin,
                                                   .channels = cut.channels,
                                                   .silu = args.activation == Activation::Silu});
                       });
}

void CpuBackend::do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                           const ConvArgs& args) {
  if (weight.kernel == 1) return conv1x1(out, x, weight, args);
  if (weight.layout != cpu::kConv3x3) return ReferenceBackend::do_conv2d(out, x, weight, args);
  const std::size_t scratch = cpu::conv3x3_scratch_bytes(weight.out, weight.in, threads_);
  need_scratch(scratch);
  cpu::conv3x3(
      out, x, weight, args,
      {.kernels = conv_kernels_.conv3x3, .threads = threads_, .scratch = {scratch_, scratch}});
}

}  // namespace zimage
