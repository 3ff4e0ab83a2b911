// What the autoencoder's encoder and decoder are made of: residual blocks and attention over a
// feature map, and the memory that maps take in turns. Follows diffusers ResnetBlock2D, Attention
// and UNetMidBlock2D.
#pragma once

#include <cstdint>
#include <optional>

#include "nn/run.h"
#include "nn/weight_scope.h"
#include "vae/config.h"

namespace zimage::vae {

struct Norm {
  Tensor weight;
  Tensor bias;
};
struct Conv {
  Weight weight;
  Tensor bias;
};
struct Resnet {
  Norm norm1;
  Conv conv1;
  Norm norm2;
  Conv conv2;
  std::optional<Conv> shortcut;  // 1x1, where the channels differ
};
struct Attention {
  Norm norm;
  Conv qkv;
  Conv out;
};
// Of the coarsest level, with the widest channels.
struct Middle {
  Resnet first;
  std::optional<Attention> attention;
  Resnet second;
};

Norm load_norm(const WeightScope& w, std::int64_t channels);
Conv load_conv(const WeightScope& w, std::int64_t out, std::int64_t in, std::int64_t side);
Resnet load_resnet(const WeightScope& w, std::int64_t out, std::int64_t in);
// "mid_block" of an encoder or a decoder.
Middle load_middle(const WeightScope& w, const VaeConfig& config);

// The map that the next operation reads, and the memory that maps take in turns: one buffer that
// holds it, two that are free.
struct Maps {
  Tensor x;
  Tensor held;
  Tensor small;
  Tensor large;  // no smaller than `small`

  // Makes x a map of `shape` in the smallest free buffer that takes it; what held it is free, and
  // keeps its numbers until something is written there.
  Tensor move(const Shape& shape);
  // The free buffer in which `map` does not lie.
  const Tensor& free_of(const Tensor& map) const { return small.data == map.data ? large : small; }
};

// Numbers that the smaller two buffers and the largest hold.
struct MapSizes {
  std::int64_t narrow = 0;
  std::int64_t wide = 0;
};
// With x a map of `shape`.
Maps make_maps(Arena::Frame& frame, DType dtype, const MapSizes& sizes, const Shape& shape);

// Some rows of a map.
struct MapRows {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t of = 0;
};

// By which the group norms of a pass over a part of a map go: statistics of the whole map.
struct NormStatistics {
  Tensor values = {};      // [norms of the pass, 2, groups] f32: means and variances
  std::int64_t known = 0;  // the first ones, which are read
  // Of which rows of the part the one behind them is measured and written, at whatever resolution
  // the part is there.
  MapRows measured = {};
};

// The group norms of one pass through a network, in order.
class Norms {
 public:
  // By each map's own statistics. `config` must outlive this.
  explicit Norms(const VaeConfig& config) : config_(config) {}
  Norms(const VaeConfig& config, const NormStatistics& statistics)
      : config_(config), statistics_(statistics) {}

  // As Backend::group_norm. False at the norm that is measured: there the pass ends, and what is in
  // `x` is lost.
  bool next(Backend& backend, const Tensor& out, const Tensor& x, const Norm& norm,
            Activation activation);

 private:
  const VaeConfig& config_;
  NormStatistics statistics_;
  std::int64_t count_ = 0;
};

// Each takes the map in maps.x and leaves its result there. False where the pass ended. Throws
// Cancelled.
bool forward(const Run& run, Norms& norms, const Resnet& resnet, Maps& maps);
// By the map's own statistics.
void forward(const Run& run, Norms& norms, const Middle& middle, Maps& maps);

}  // namespace zimage::vae
