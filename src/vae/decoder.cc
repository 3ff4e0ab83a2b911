// The decoder's forward pass over three buffers.
#include <algorithm>
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

VaeDecoder::Maps VaeDecoder::make_maps(Arena::Frame& frame, DType dtype, std::int64_t rows,
                                       std::int64_t columns) const {
  std::int64_t pixels = rows * columns;
  std::int64_t in = config_.channels.back();
  std::int64_t wide = pixels * in;
  std::int64_t narrow = wide;
  for (std::size_t i = 0; i < config_.channels.size(); ++i) {
    const std::int64_t out = config_.channels[config_.channels.size() - 1 - i];
    wide = std::max(wide, pixels * std::max(in, out));
    narrow = std::max(narrow, pixels * out);
    in = out;
    if (i + 1 < config_.channels.size()) pixels *= 4;
    wide = std::max(wide, pixels * out);
  }
  return {.x = frame.make(dtype, {wide}),
          .wide = frame.make(dtype, {wide}),
          .y = frame.make(dtype, {narrow})};
}

void VaeDecoder::forward(const Run& run, const Resnet& resnet, Maps& maps) const {
  run.throw_if_stopped();
  Backend& be = run.backend;
  const Tensor x = maps.x;                                                       // [H, W, in]
  const Tensor h = view(maps.wide, x.shape);                                     // [H, W, in]
  const Tensor y = view(maps.y, {x.dim(0), x.dim(1), resnet.conv1.weight.out});  // [H, W, out]
  be.group_norm(h, x, resnet.norm1.weight, resnet.norm1.bias, norm_args(Activation::Silu));
  be.conv2d(y, h, resnet.conv1.weight, {.bias = resnet.conv1.bias});
  be.group_norm(y, y, resnet.norm2.weight, resnet.norm2.bias, norm_args(Activation::Silu));
  if (resnet.shortcut) {
    maps.x = view(maps.wide, y.shape);
    be.conv2d(maps.x, x, resnet.shortcut->weight, {.bias = resnet.shortcut->bias});
    maps.wide = {x.data, x.dtype, {maps.wide.elements()}};
  }
  be.conv2d(maps.x, y, resnet.conv2.weight, {.bias = resnet.conv2.bias, .accumulate = true});
}

void VaeDecoder::forward(const Run& run, const Attention& attention, Maps& maps) const {
  run.throw_if_stopped();
  Backend& be = run.backend;
  Arena::Frame frame(run.arena);
  const std::int64_t channels = maps.x.dim(2);
  const Shape rows{maps.x.dim(0) * maps.x.dim(1), channels};
  const Tensor h = view(maps.wide, maps.x.shape);
  const Tensor qkv = frame.make(h.dtype, {rows[0], 3 * channels});  // [H W, 3 C]
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
  maps.x = view(maps.wide, {2 * x.dim(0), 2 * x.dim(1), x.dim(2)});
  run.backend.conv2d(maps.x, x, conv.weight, {.bias = conv.bias, .upsample_2x = true});
  maps.wide = {x.data, x.dtype, {maps.wide.elements()}};
}

void VaeDecoder::decode(const Run& run, const Tensor& out, const Tensor& latents) const {
  Backend& be = run.backend;
  const Weights& w = weights_.weights;
  Arena::Frame frame(run.arena);
  const Tensor z = frame.make(be.activation_dtype(), latents.shape);  // [h, w, latent_channels]
  be.cast(z, latents);
  Maps maps = make_maps(frame, z.dtype, z.dim(0), z.dim(1));
  maps.x = view(maps.x, {z.dim(0), z.dim(1), config_.channels.back()});
  be.conv2d(maps.x, z, w.conv_in.weight, {.bias = w.conv_in.bias});
  forward(run, w.mid_first, maps);
  if (w.mid_attention) forward(run, *w.mid_attention, maps);
  forward(run, w.mid_second, maps);
  for (const Level& level : w.levels) {
    for (const Resnet& resnet : level.resnets) forward(run, resnet, maps);
    if (level.upsample) upsample(run, *level.upsample, maps);
  }
  const Tensor h = view(maps.wide, maps.x.shape);  // [H, W, channels]
  be.group_norm(h, maps.x, w.norm_out.weight, w.norm_out.bias, norm_args(Activation::Silu));
  be.conv2d(out, h, w.conv_out.weight, {.bias = w.conv_out.bias});
}

}  // namespace zimage
