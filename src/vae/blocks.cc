// Blocks over three buffers, and the tensors they are made of.
#include "vae/blocks.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

namespace zimage::vae {
namespace {

// Of every group norm. Source: diffusers Decoder and Encoder, eps=1e-6.
constexpr float kNormEps = 1e-6F;

// A map of `shape` at the beginning of a buffer.
Tensor view(const Tensor& buffer, const Shape& shape) {
  return buffer.slice(0, shape.elements()).reshaped(shape);
}

Attention load_attention(const WeightScope& w, std::int64_t channels) {
  const HostTensor biases[] = {w.host("to_q.bias", {channels}), w.host("to_k.bias", {channels}),
                               w.host("to_v.bias", {channels})};
  return {
      .norm = load_norm(w["group_norm"], channels),
      .qkv = {.weight = w.matrix(
                  {{"to_q.weight", channels}, {"to_k.weight", channels}, {"to_v.weight", channels}},
                  channels),
              .bias = w.concatenate(biases)},
      .out = {.weight = w.matrix("to_out.0.weight", channels, channels),
              .bias = w.vector("to_out.0.bias", channels)},
  };
}

void attend(const Run& run, Norms& norms, const Attention& attention, Maps& maps) {
  run.throw_if_stopped();
  Backend& be = run.backend;
  const std::int64_t channels = maps.x.dim(2);
  const Shape rows{maps.x.dim(0) * maps.x.dim(1), channels};
  const Tensor h = view(maps.small, maps.x.shape);
  const Tensor qkv = view(maps.large, {rows[0], 3 * channels});  // [H W, 3 C]
  norms.next(be, h, maps.x, attention.norm, Activation::None);
  be.linear(qkv, h.reshaped(rows), attention.qkv.weight, {.bias = attention.qkv.bias});
  be.attention(
      h.reshaped(rows), qkv,
      {.heads = 1, .kv_heads = 1, .scale = 1.0F / std::sqrt(static_cast<float>(channels))});
  be.linear(maps.x.reshaped(rows), h.reshaped(rows), attention.out.weight,
            {.bias = attention.out.bias, .accumulate = true});
}

}  // namespace

Norm load_norm(const WeightScope& w, std::int64_t channels) {
  return {.weight = w.vector("weight", channels), .bias = w.vector("bias", channels)};
}

Conv load_conv(const WeightScope& w, std::int64_t out, std::int64_t in, std::int64_t side) {
  return {.weight = w.kernel("weight", out, in, side), .bias = w.vector("bias", out)};
}

Resnet load_resnet(const WeightScope& w, std::int64_t out, std::int64_t in) {
  Resnet resnet{
      .norm1 = load_norm(w["norm1"], in),
      .conv1 = load_conv(w["conv1"], out, in, 3),
      .norm2 = load_norm(w["norm2"], out),
      .conv2 = load_conv(w["conv2"], out, out, 3),
      .shortcut = std::nullopt,
  };
  if (in != out) resnet.shortcut = load_conv(w["conv_shortcut"], out, in, 1);
  return resnet;
}

Middle load_middle(const WeightScope& w, const VaeConfig& config) {
  const std::int64_t widest = config.channels.back();
  Middle middle{.first = load_resnet(w["resnets"]["0"], widest, widest),
                .attention = std::nullopt,
                .second = load_resnet(w["resnets"]["1"], widest, widest)};
  if (config.mid_attention) middle.attention = load_attention(w["attentions"]["0"], widest);
  return middle;
}

Tensor Maps::move(const Shape& shape) {
  Tensor& target = shape.elements() <= small.elements() ? small : large;
  assert(shape.elements() <= target.elements());
  std::swap(held, target);
  if (small.elements() > large.elements()) std::swap(small, large);
  x = view(held, shape);
  return x;
}

Maps make_maps(Arena::Frame& frame, DType dtype, const MapSizes& sizes, const Shape& shape) {
  Maps maps{.x = {},
            .held = frame.make(dtype, {sizes.narrow}),
            .small = frame.make(dtype, {sizes.narrow}),
            .large = frame.make(dtype, {std::max(sizes.wide, sizes.narrow)})};
  maps.x = view(maps.held, shape);
  return maps;
}

bool Norms::next(Backend& backend, const Tensor& out, const Tensor& x, const Norm& norm,
                 Activation activation) {
  GroupNormArgs args{.groups = config_.groups, .eps = kNormEps, .activation = activation};
  const std::int64_t index = count_++;
  if (!statistics_.values.empty()) {
    args.statistics = statistics_.values.rows(index, index + 1).reshaped({2, config_.groups});
    args.given = index < statistics_.known;
    if (!args.given) {
      const MapRows& rows = statistics_.measured;
      const std::int64_t scale = x.dim(0) / rows.of;
      const Tensor measured = x.rows(rows.begin * scale, rows.end * scale);
      backend.group_norm(measured, measured, norm.weight, norm.bias, args);
      return false;
    }
  }
  backend.group_norm(out, x, norm.weight, norm.bias, args);
  return true;
}

bool forward(const Run& run, Norms& norms, const Resnet& resnet, Maps& maps) {
  run.throw_if_stopped();
  Backend& be = run.backend;
  const Tensor x = maps.x;                                          // [H, W, in]
  const Shape narrow{x.dim(0), x.dim(1), resnet.conv1.weight.out};  // [H, W, out]
  // Where the channels differ, the residual is taken first, so that x can be normed in place.
  if (resnet.shortcut)
    be.conv2d(maps.move(narrow), x, resnet.shortcut->weight, {.bias = resnet.shortcut->bias});
  const Tensor h = resnet.shortcut ? x : view(maps.small, x.shape);               // [H, W, in]
  const Tensor y = view(resnet.shortcut ? maps.free_of(x) : maps.large, narrow);  // [H, W, out]
  if (!norms.next(be, h, x, resnet.norm1, Activation::Silu)) return false;
  be.conv2d(y, h, resnet.conv1.weight, {.bias = resnet.conv1.bias});
  if (!norms.next(be, y, y, resnet.norm2, Activation::Silu)) return false;
  be.conv2d(maps.x, y, resnet.conv2.weight, {.bias = resnet.conv2.bias, .accumulate = true});
  return true;
}

void forward(const Run& run, Norms& norms, const Middle& middle, Maps& maps) {
  forward(run, norms, middle.first, maps);
  if (middle.attention) attend(run, norms, *middle.attention, maps);
  forward(run, norms, middle.second, maps);
}

}  // namespace zimage::vae
