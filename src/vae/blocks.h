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

GroupNormArgs norm_args(const VaeConfig& config, Activation activation);

// Each takes the map in maps.x and leaves its result there. Throws Cancelled.
void forward(const Run& run, const VaeConfig& config, const Resnet& resnet, Maps& maps);
void forward(const Run& run, const VaeConfig& config, const Middle& middle, Maps& maps);

}  // namespace zimage::vae
