// The decoder: from the coarsest level to the finest.
#include <algorithm>
#include <string>

#include "vae/vae.h"

namespace zimage {

VaeDecoder::Weights VaeDecoder::load_weights(const WeightScope& root, const VaeConfig& c) {
  const WeightScope w = root["decoder"];
  const std::int64_t widest = c.channels.back();
  Weights weights{
      .conv_in = vae::load_conv(w["conv_in"], widest, c.latent_channels, 3),
      .middle = vae::load_middle(w["mid_block"], c),
      .levels = {},
      .norm_out = vae::load_norm(w["conv_norm_out"], c.channels.front()),
      .conv_out = vae::load_conv(w["conv_out"], 3, c.channels.front(), 3),
  };
  std::int64_t in = widest;
  for (std::size_t i = 0; i < c.channels.size(); ++i) {
    const WeightScope up = w["up_blocks"][std::to_string(i)];
    const std::int64_t out = c.channels[c.channels.size() - 1 - i];
    Level& level = weights.levels.emplace_back();
    for (std::int64_t layer = 0; layer <= c.layers_per_block; ++layer) {
      level.resnets.push_back(vae::load_resnet(up["resnets"][std::to_string(layer)], out, in));
      in = out;
    }
    if (i + 1 < c.channels.size())
      level.upsample = vae::load_conv(up["upsamplers"]["0"]["conv"], out, out, 3);
  }
  return weights;
}

VaeDecoder::VaeDecoder(TensorSource& source, const VaeConfig& config, Backend& backend)
    : config_(config), weights_(load_module(source, backend, [&](const WeightScope& w) {
        return load_weights(w, config);
      })) {
  source.ignore("encoder.");
}

// What a level's resnets take fits the smaller two; a map that is to be narrowed, as upsampling
// leaves it, and the attention's projections fit the largest.
vae::MapSizes VaeDecoder::map_sizes(std::int64_t pixels) const {
  std::int64_t in = config_.channels.back();
  vae::MapSizes sizes{.narrow = pixels * in, .wide = (config_.mid_attention ? 3 : 1) * pixels * in};
  for (std::size_t i = 0; i < config_.channels.size(); ++i) {
    const std::int64_t out = config_.channels[config_.channels.size() - 1 - i];
    sizes.wide = std::max(sizes.wide, pixels * in);
    sizes.narrow = std::max(sizes.narrow, pixels * out);
    in = out;
    if (i + 1 < config_.channels.size()) pixels *= 4;
  }
  return sizes;
}

void VaeDecoder::decode(const Run& run, const Tensor& out, const Tensor& latents) const {
  Backend& be = run.backend;
  const Weights& w = weights_.weights;
  Arena::Frame frame(run.arena);
  const Tensor z = frame.make(be.activation_dtype(), latents.shape);  // [h, w, latent_channels]
  be.cast(z, latents);
  vae::Maps maps = vae::make_maps(frame, z.dtype, map_sizes(z.dim(0) * z.dim(1)),
                                  {z.dim(0), z.dim(1), config_.channels.back()});
  be.conv2d(maps.x, z, w.conv_in.weight, {.bias = w.conv_in.bias});
  vae::forward(run, config_, w.middle, maps);
  for (const Level& level : w.levels) {
    for (const vae::Resnet& resnet : level.resnets) vae::forward(run, config_, resnet, maps);
    if (!level.upsample) continue;
    run.throw_if_stopped();
    const Tensor x = maps.x;
    be.conv2d(maps.move({2 * x.dim(0), 2 * x.dim(1), x.dim(2)}), x, level.upsample->weight,
              {.bias = level.upsample->bias, .upsample_2x = true});
  }
  const Tensor x = maps.x;  // [H, W, channels]
  be.group_norm(x, x, w.norm_out.weight, w.norm_out.bias,
                vae::norm_args(config_, Activation::Silu));
  be.conv2d(out, x, w.conv_out.weight, {.bias = w.conv_out.bias});
}

}  // namespace zimage
