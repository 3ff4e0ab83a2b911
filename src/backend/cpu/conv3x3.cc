// Packing of 3x3 kernels, and the split of a convolution into blocks of tiles, one thread each.
#include "backend/cpu/conv3x3.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "backend/cpu/parallel.h"
#include "base/float16.h"

namespace zimage::cpu {
namespace {

constexpr std::ptrdiff_t kLine = 16;  // floats of a cache line

// Most tiles of a block. Their transformed inputs should stay in the second cache, but each kernel
// that comes from the third or from memory pays only if it is used often enough: with many input
// channels a block cannot fit anyway.
constexpr std::ptrdiff_t kFewTiles = 24;
constexpr std::ptrdiff_t kManyTiles = 48;
constexpr std::ptrdiff_t kManyInputs = 256;
// A block is not split further among threads than this: both transforms and the kernel's way
// through the caches are then paid by too little arithmetic.
constexpr std::ptrdiff_t kLeastTiles = 12;
constexpr std::ptrdiff_t kLeastPanels = 4;

constexpr std::ptrdiff_t divide_up(std::ptrdiff_t a, std::ptrdiff_t b) {
  return (a + b - 1) / b;
}

constexpr bool is_direct(std::ptrdiff_t out) {
  return out <= kMaxDirectOut;
}

constexpr std::ptrdiff_t most_tiles(std::ptrdiff_t in) {
  return in < kManyInputs ? kFewTiles : kManyTiles;
}

// With strides of an odd number of cache lines, as kProductRow.
WinogradLayout layout_of(std::ptrdiff_t tiles, std::ptrdiff_t in) {
  WinogradLayout layout;
  layout.v_row = (divide_up(in, kLine) | 1) * kLine;
  layout.v_point = (tiles * layout.v_row / kLine | 1) * kLine;
  layout.v_floats = kTilePoints * layout.v_point;
  layout.m_floats = tiles * kProductRow;
  return layout;
}

// The scratch memory: a pixel of zeros, then a part for each thread.
std::ptrdiff_t zeros_floats(std::ptrdiff_t in) {
  return divide_up(in, kLine) * kLine;
}
std::ptrdiff_t thread_floats(std::ptrdiff_t out, std::ptrdiff_t in) {
  if (is_direct(out)) return 0;
  const WinogradLayout layout = layout_of(most_tiles(in), in);
  return layout.v_floats + layout.m_floats;
}

// Calls visit(read), where read(index) is an element of `kernel` as a float.
template <class Visit>
void visit_numbers(const Tensor& kernel, const Visit& visit) {
  const auto* halves = static_cast<const std::uint16_t*>(kernel.data);
  switch (kernel.dtype) {
    case DType::F16: return visit([halves](std::ptrdiff_t i) { return f16_to_float(halves[i]); });
    case DType::BF16: return visit([halves](std::ptrdiff_t i) { return bf16_to_float(halves[i]); });
    default: return visit([floats = kernel.as<float>()](std::ptrdiff_t i) { return floats[i]; });
  }
}

using Lanes = std::array<double, kConvPanel>;

// One direction of the kernel transform: three taps to six points. For a finite point p it is
// (a + p b + p^2 c) / product of (p - each other finite point); for infinity it is c.
template <class Store>
void transform_taps(const Lanes& a, const Lanes& b, const Lanes& c, const Store& store) {
  constexpr double kSquare = kPoint * kPoint;
  constexpr double kAtZero = 1 / kSquare;
  constexpr double kAtOne = 1 / (2 * (1 - kSquare));
  constexpr double kAtPoint = 1 / (2 * kSquare * (kSquare - 1));
  for (std::size_t l = 0; l < a.size(); ++l) {
    const double even_1 = (a[l] + c[l]) * kAtOne;
    const double odd_1 = b[l] * kAtOne;
    const double even_q = (a[l] + kSquare * c[l]) * kAtPoint;
    const double odd_q = b[l] * (kPoint * kAtPoint);
    store(0, l, a[l] * kAtZero);
    store(1, l, even_1 + odd_1);
    store(2, l, even_1 - odd_1);
    store(3, l, even_q + odd_q);
    store(4, l, even_q - odd_q);
    store(5, l, c[l]);
  }
}

// One input channel of a panel: taps [9] to points [36], `point_stride` floats apart.
void transform_kernel(float* packed, std::ptrdiff_t point_stride,
                      const std::array<Lanes, 9>& taps) {
  std::array<std::array<Lanes, 3>, kPointCount> half;
  for (std::size_t j = 0; j < 3; ++j) {
    transform_taps(taps[j], taps[3 + j], taps[6 + j],
                   [&](std::size_t i, std::size_t l, double value) { half[i][j][l] = value; });
  }
  for (const std::array<Lanes, 3>& row : half) {
    transform_taps(row[0], row[1], row[2], [&](std::size_t j, std::size_t l, double value) {
      packed[static_cast<std::ptrdiff_t>(j) * point_stride + static_cast<std::ptrdiff_t>(l)] =
          static_cast<float>(value);
    });
    packed += kPointCount * point_stride;
  }
}

// [panel][point][in][kConvPanel]; channels that do not exist are 0.
void pack_winograd(float* packed, const Tensor& kernel, int threads) {
  const std::ptrdiff_t out = kernel.dim(0);
  const std::ptrdiff_t in = kernel.dim(1);
  const std::ptrdiff_t point = in * kConvPanel;
  visit_numbers(kernel, [&](const auto& read) {
    const auto panels = static_cast<std::size_t>(divide_up(out, kConvPanel));
    parallel_for(threads, panels, [&](std::size_t panel, std::size_t /*thread*/) {
      const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(panel) * kConvPanel;
      const std::ptrdiff_t lanes = std::min(kConvPanel, out - first);
      float* target = packed + first * kTilePoints * in;
      for (std::ptrdiff_t c = 0; c < in; ++c, target += kConvPanel) {
        std::array<Lanes, 9> taps{};
        for (std::ptrdiff_t l = 0; l < lanes; ++l) {
          const std::ptrdiff_t at = ((first + l) * in + c) * 9;
          for (std::size_t t = 0; t < taps.size(); ++t) {
            taps[t][static_cast<std::size_t>(l)] =
                static_cast<double>(read(at + static_cast<std::ptrdiff_t>(t)));
          }
        }
        transform_kernel(target, point, taps);
      }
    });
  });
}

// [out][9][in rounded up to a panel]; the rest is 0.
void pack_direct(float* packed, const Tensor& kernel) {
  const std::ptrdiff_t in = kernel.dim(1);
  const std::ptrdiff_t stride = divide_up(in, kConvPanel) * kConvPanel;
  std::fill_n(packed, kernel.dim(0) * 9 * stride, 0.F);
  visit_numbers(kernel, [&](const auto& read) {
    for (std::ptrdiff_t o = 0; o < kernel.dim(0); ++o) {
      for (std::ptrdiff_t c = 0; c < in; ++c) {
        for (std::ptrdiff_t t = 0; t < 9; ++t) {
          packed[(o * 9 + t) * stride + c] = read((o * in + c) * 9 + t);
        }
      }
    }
  });
}

// How a convolution is split: blocks of tiles, and where there are fewer of them than threads,
// parts of the output channels as well.
struct Split {
  std::ptrdiff_t tiles = 0;   // in the map
  std::ptrdiff_t blocks = 0;  // of tiles
  std::ptrdiff_t panels = 0;  // of output channels
  std::ptrdiff_t parts = 0;   // of panels

  ConvBlock block(std::size_t index, std::ptrdiff_t in) const {
    const auto part = static_cast<std::ptrdiff_t>(index) % parts;
    const auto row = static_cast<std::ptrdiff_t>(index) / parts;
    ConvBlock b;
    b.first_tile = tiles * row / blocks;
    b.tiles = tiles * (row + 1) / blocks - b.first_tile;
    b.first_panel = panels * part / parts;
    b.last_panel = panels * (part + 1) / parts;
    b.layout = layout_of(b.tiles, in);
    return b;
  }
};

Split split_of(const ConvTask& task, std::ptrdiff_t threads) {
  Split s;
  s.tiles = divide_up(task.height, kTileSide) * divide_up(task.width, kTileSide);
  s.panels = divide_up(task.out_channels, kConvPanel);
  const std::ptrdiff_t fewest = divide_up(s.tiles, most_tiles(task.in));
  // As many blocks for every thread, if that leaves enough tiles for each.
  const std::ptrdiff_t even = divide_up(fewest, threads) * threads;
  s.blocks = std::max(std::min(even, s.tiles / kLeastTiles), fewest);
  const std::ptrdiff_t most_parts = std::max<std::ptrdiff_t>(s.panels / kLeastPanels, 1);
  s.parts = std::clamp<std::ptrdiff_t>(threads / s.blocks, 1, most_parts);
  return s;
}

}  // namespace

std::size_t conv3x3_weight_bytes(std::int64_t out, std::int64_t in) {
  const std::ptrdiff_t floats = is_direct(out)
                                    ? out * 9 * divide_up(in, kConvPanel) * kConvPanel
                                    : divide_up(out, kConvPanel) * kConvPanel * in * kTilePoints;
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void pack_conv3x3(void* packed, const Tensor& kernel, int threads) {
  assert(kernel.shape.rank() == 4 && kernel.dim(2) == 3 && kernel.dim(3) == 3);
  if (is_direct(kernel.dim(0))) {
    pack_direct(static_cast<float*>(packed), kernel);
  } else {
    pack_winograd(static_cast<float*>(packed), kernel, threads);
  }
}

std::size_t conv3x3_scratch_bytes(std::int64_t out, std::int64_t in, int threads) {
  const std::ptrdiff_t floats = zeros_floats(in) + threads * thread_floats(out, in);
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void conv3x3(const Tensor& out, const Tensor& x, const Weight& weight, const ConvArgs& args,
             const ConvContext& context) {
  assert(context.scratch.size() >= conv3x3_scratch_bytes(weight.out, weight.in, context.threads));
  if (out.elements() == 0) return;
  auto* scratch = reinterpret_cast<float*>(context.scratch.data());
  float* blocks = std::fill_n(scratch, zeros_floats(weight.in), 0.F);
  const ConvTask task{.x = x.as<float>(),
                      .out = out.as<float>(),
                      .weight = static_cast<const float*>(weight.data),
                      .bias = args.bias.empty() ? nullptr : args.bias.as<float>(),
                      .zeros = scratch,
                      .height = args.downsample_2x ? x.dim(0) : out.dim(0),
                      .width = args.downsample_2x ? x.dim(1) : out.dim(1),
                      .in = weight.in,
                      .out_channels = weight.out,
                      .upsample_2x = args.upsample_2x,
                      .downsample_2x = args.downsample_2x,
                      .accumulate = args.accumulate};
  if (is_direct(weight.out)) {
    parallel_for(context.threads, static_cast<std::size_t>(out.dim(0)),
                 [&](std::size_t row, std::size_t /*thread*/) {
                   const auto at = static_cast<std::ptrdiff_t>(row);
                   context.kernels.direct(task, task.downsample_2x ? 2 * at + 1 : at);
                 });
    return;
  }
  const Split split = split_of(task, context.threads);
  const std::ptrdiff_t stride = thread_floats(weight.out, weight.in);
  parallel_for(context.threads, static_cast<std::size_t>(split.blocks * split.parts),
               [&](std::size_t index, std::size_t thread) {
                 context.kernels.winograd(task, split.block(index, task.in),
                                          blocks + static_cast<std::ptrdiff_t>(thread) * stride);
               });
}

}  // namespace zimage::cpu
