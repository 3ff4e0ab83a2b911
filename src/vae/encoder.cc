// The encoder: from the finest level to the coarsest.
#include <algorithm>
#include <string>

#include "base/error.h"
#include "vae/vae.h"

namespace zimage {

VaeEncoder::Weights VaeEncoder::load_weights(const WeightScope& root, const VaeConfig& c) {
  if (c.quant_conv) {
    throw Error(ErrorCode::Unsupported,
                "vae: \"use_quant_conv\" is true, expected false to encode pictures");
  }
  const WeightScope w = root["encoder"];
  const std::int64_t widest = c.channels.back();
  Weights weights{
      .conv_in = vae::load_conv(w["conv_in"], c.channels.front(), 3, 3),
      .levels = {},
      .middle = vae::load_middle(w["mid_block"], c),
      .norm_out = vae::load_norm(w["conv_norm_out"], widest),
      .conv_out = vae::load_conv(w["conv_out"], 2 * c.latent_channels, widest, 3),
  };
  std::int64_t in = c.channels.front();
  for (std::size_t i = 0; i < c.channels.size(); ++i) {
    const WeightScope down = w["down_blocks"][std::to_string(i)];
    const std::int64_t out = c.channels[i];
    Level& level = weights.levels.emplace_back();
    for (std::int64_t layer = 0; layer < c.layers_per_block; ++layer) {
      level.resnets.push_back(vae::load_resnet(down["resnets"][std::to_string(layer)], out, in));
      in = out;
    }
    if (i + 1 < c.channels.size())
      level.downsample = vae::load_conv(down["downsamplers"]["0"]["conv"], out, out, 3);
  }
  return weights;
}

VaeEncoder::VaeEncoder(TensorSource& source, const VaeConfig& config, Backend& backend)
    : config_(config), weights_(load_module(source, backend, [&](const WeightScope& w) {
        return load_weights(w, config);
      })) {
  source.ignore("decoder.");
}

// A level's first resnet widens the map that the level before left.
vae::MapSizes VaeEncoder::map_sizes(std::int64_t pixels) const {
  vae::MapSizes sizes;
  std::int64_t in = config_.channels.front();
  for (const std::int64_t out : config_.channels) {
    sizes.narrow = std::max(sizes.narrow, pixels * std::max(in, out));
    sizes.wide = (config_.mid_attention ? 3 : 1) * pixels * out;
    in = out;
    pixels /= 4;
  }
  return sizes;
}

void VaeEncoder::encode(const Run& run, const Tensor& out, const Tensor& pixels) const {
  Backend& be = run.backend;
  const Weights& w = weights_.weights;
  Arena::Frame frame(run.arena);
  const DType dtype = be.activation_dtype();
  const Tensor moments = frame.make(dtype, out.shape);  // [h, w, 2 latent_channels]
  const Tensor picture = frame.make(dtype, pixels.shape);
  be.cast(picture, pixels);
  vae::Maps maps = vae::make_maps(frame, dtype, map_sizes(pixels.dim(0) * pixels.dim(1)),
                                  {pixels.dim(0), pixels.dim(1), config_.channels.front()});
  be.conv2d(maps.x, picture, w.conv_in.weight, {.bias = w.conv_in.bias});
  for (const Level& level : w.levels) {
    for (const vae::Resnet& resnet : level.resnets) vae::forward(run, config_, resnet, maps);
    if (!level.downsample) continue;
    run.throw_if_stopped();
    const Tensor x = maps.x;
    be.conv2d(maps.move({x.dim(0) / 2, x.dim(1) / 2, x.dim(2)}), x, level.downsample->weight,
              {.bias = level.downsample->bias, .downsample_2x = true});
  }
  vae::forward(run, config_, w.middle, maps);
  const Tensor x = maps.x;  // [h, w, widest]
  be.group_norm(x, x, w.norm_out.weight, w.norm_out.bias,
                vae::norm_args(config_, Activation::Silu));
  be.conv2d(moments, x, w.conv_out.weight, {.bias = w.conv_out.bias});
  be.cast(out, moments);
}

}  // namespace zimage
