// Which tensors the decoder is made of.
#include <string>

#include "vae/vae.h"

namespace zimage {

VaeDecoder::Norm VaeDecoder::load_norm(const WeightScope& w, std::int64_t channels) {
  return {.weight = w.vector("weight", channels), .bias = w.vector("bias", channels)};
}

VaeDecoder::Conv VaeDecoder::load_conv(const WeightScope& w, std::int64_t out, std::int64_t in,
                                       std::int64_t side) {
  return {.weight = w.kernel("weight", out, in, side), .bias = w.vector("bias", out)};
}

VaeDecoder::Resnet VaeDecoder::load_resnet(const WeightScope& w, std::int64_t out,
                                           std::int64_t in) {
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

VaeDecoder::Attention VaeDecoder::load_attention(const WeightScope& w, std::int64_t channels) {
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

VaeDecoder::Weights VaeDecoder::load_weights(const WeightScope& root, const VaeConfig& c) {
  const WeightScope w = root["decoder"];
  const WeightScope mid = w["mid_block"];
  const std::int64_t widest = c.channels.back();
  Weights weights{
      .conv_in = load_conv(w["conv_in"], widest, c.latent_channels, 3),
      .mid_first = load_resnet(mid["resnets"]["0"], widest, widest),
      .mid_attention = std::nullopt,
      .mid_second = load_resnet(mid["resnets"]["1"], widest, widest),
      .levels = {},
      .norm_out = load_norm(w["conv_norm_out"], c.channels.front()),
      .conv_out = load_conv(w["conv_out"], 3, c.channels.front(), 3),
  };
  if (c.mid_attention) weights.mid_attention = load_attention(mid["attentions"]["0"], widest);
  std::int64_t in = widest;
  for (std::size_t i = 0; i < c.channels.size(); ++i) {
    const WeightScope up = w["up_blocks"][std::to_string(i)];
    const std::int64_t out = c.channels[c.channels.size() - 1 - i];
    Level& level = weights.levels.emplace_back();
    for (std::int64_t layer = 0; layer <= c.layers_per_block; ++layer) {
      level.resnets.push_back(load_resnet(up["resnets"][std::to_string(layer)], out, in));
      in = out;
    }
    if (i + 1 < c.channels.size())
      level.upsample = load_conv(up["upsamplers"]["0"]["conv"], out, out, 3);
  }
  return weights;
}

VaeDecoder::VaeDecoder(TensorSource& source, const VaeConfig& config, Backend& backend)
    : config_(config), weights_(load_module(source, backend, [&](const WeightScope& w) {
        return load_weights(w, config);
      })) {
  source.ignore("encoder.");
}

}  // namespace zimage
