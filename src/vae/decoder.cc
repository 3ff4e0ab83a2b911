// The decoder's forward pass over three buffers.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "vae/vae.h"

namespace zimage {
namespace {

// Of every group norm. Source: diffusers Decoder, eps=1e-6.
constexpr float kNormEps = 1e-6F;

// A map of `shape` at the beginning of a buffer.
Tensor view(const Tensor& buffer, const Shape& shape) {
  return buffer.slice(0, shape.elements()).reshaped(shape);
}

}  // namespace

GroupNormArgs VaeDecoder::norm_args(Activation activation) const {
  return {.groups = config_.groups, .eps = kNormEps, .activation = activation};
}

Tensor VaeDecoder::Maps::move(const Shape& shape) {
  Tensor& target = shape.elements() <= small.elements() ? small : large;
  assert(shape.elements() <= target.elements());
  std::swap(held, target);
  if (small.elements() > large.elements()) std::swap(small, large);
  x = view(held, shape);
  return x;
}

// What a level's resnets take fits the smaller two; a map that is to be narrowed, as upsampling
// leaves it, and the attention's projections fit the largest.
VaeDecoder::Maps VaeDecoder::make_maps(Arena::Frame& frame, DType dtype, std::int64_t rows,
                                       std::int64_t columns) const {
  std::int64_t pixels = rows * columns;
  std::int64_t in = config_.channels.back();
  std::int64_t narrow = pixels * in;
  std::int64_t wide = config_.mid_attention ? 3 * narrow : narrow;
  for (std::size_t i = 0; i < config_.channels.size(); ++i) {
    const std::int64_t out = config_.channels[config_.channels.size() - 1 - i];
    wide = std::max(wide, pixels * in);
    narrow = std::max(narrow, pixels * out);
    in = out;
    if (i + 1 < config_.channels.size()) pixels *= 4;
  }
  Maps maps{.x = {},
            .held = frame.make(dtype, {narrow}),
            .small = frame.make(dtype, {narrow}),
            .large = frame.make(dtype, {std::max(wide, narrow)})};
  maps.x = view(maps.held, {rows, columns, config_.channels.back()});
  return maps;
}

void VaeDecoder::forward(const Run& run, const Resnet& resnet, Maps& maps) const {
  run.throw_if_stopped();
  Backend& be = run.backend;
  const Tensor x = maps.x;                                          // [H, W, in]
  const Shape narrow{x.dim(0), x.dim(1), resnet.conv1.weight.out};  // [H, W, out]
  // Where the channels differ, the residual is taken first, so that x can be normed in place.
  if (resnet.shortcut)
    be.conv2d(maps.move(narrow), x, resnet.shortcut->weight, {.bias = resnet.shortcut->bias});
  const Tensor h = resnet.shortcut ? x : view(maps.small, x.shape);               // [H, W, in]
  const Tensor y = view(resnet.shortcut ? maps.free_of(x) : maps.large, narrow);  // [H, W, out]
  be.group_norm(h, x, resnet.norm1.weight, resnet.norm1.bias, norm_args(Activation::Silu));
  be.conv2d(y, h, resnet.conv1.weight, {.bias = resnet.conv1.bias});
  be.group_norm(y, y, resnet.norm2.weight, resnet.norm2.bias, norm_args(Activation::Silu));
  be.conv2d(maps.x, y, resnet.conv2.weight, {.bias = resnet.conv2.bias, .accumulate = true});
}

void VaeDecoder::forward(const Run& run, const Attention& attention, Maps& maps) const {
  run.throw_if_stopped();
  Backend& be = run.backend;
  const std::int64_t channels = maps.x.dim(2);
  const Shape rows{maps.x.dim(0) * maps.x.dim(1), channels};
  const Tensor h = view(maps.small, maps.x.shape);
  const Tensor qkv = view(maps.large, {rows[0], 3 * channels});  // [H W, 3 C]
  be.group_norm(h, maps.x, attention.norm.weight, attention.norm.bias, norm_args(Activation::None));
  be.linear(qkv, h.reshaped(rows), attention.qkv.weight, {.bias = attention.qkv.bias});
  be.attention(
      h.reshaped(rows), qkv,
      {.heads = 1, .kv_heads = 1, .scale = 1.0F / std::sqrt(static_cast<float>(channels))});
  be.linear(maps.x.reshaped(rows), h.reshaped(rows), attention.out.weight,
            {.bias = attention.out.bias, .accumulate = true});
}

void VaeDecoder::upsample(const Run& run, const Conv& conv, Maps& maps) const {
  run.throw_if_stopped();
  const Tensor x = maps.x;
  run.backend.conv2d(maps.move({2 * x.dim(0), 2 * x.dim(1), x.dim(2)}), x, conv.weight,
                     {.bias = conv.bias, .upsample_2x = true});
}

void VaeDecoder::decode(const Run& run, const Tensor& out, const Tensor& latents) const {
  Backend& be = run.backend;
  const Weights& w = weights_.weights;
  Arena::Frame frame(run.arena);
  const Tensor z = frame.make(be.activation_dtype(), latents.shape);  // [h, w, latent_channels]
  be.cast(z, latents);
  Maps maps = make_maps(frame, z.dtype, z.dim(0), z.dim(1));
  be.conv2d(maps.x, z, w.conv_in.weight, {.bias = w.conv_in.bias});
  forward(run, w.mid_first, maps);
  if (w.mid_attention) forward(run, *w.mid_attention, maps);
  forward(run, w.mid_second, maps);
  for (const Level& level : w.levels) {
    for (const Resnet& resnet : level.resnets) forward(run, resnet, maps);
    if (level.upsample) upsample(run, *level.upsample, maps);
  }
  const Tensor x = maps.x;  // [H, W, channels]
  be.group_norm(x, x, w.norm_out.weight, w.norm_out.bias, norm_args(Activation::Silu));
  be.conv2d(out, x, w.conv_out.weight, {.bias = w.conv_out.bias});
}

}  // namespace zimage
