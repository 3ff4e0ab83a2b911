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

// Three of the attention's projections fit the largest.
vae::MapSizes VaeDecoder::coarse_sizes(std::int64_t pixels) const {
  const std::int64_t map = pixels * config_.channels.back();
  return {.narrow = map, .wide = (config_.mid_attention ? 3 : 1) * map};
}

// What a level's resnets take fits the smaller two; a map that is to be narrowed, as upsampling
// leaves it, fits the largest.
vae::MapSizes VaeDecoder::level_sizes(const Levels& levels, std::int64_t pixels) const {
  vae::MapSizes sizes;
  for (std::size_t i = levels.first; i < levels.end; ++i) {
    pixels *= 4;
    sizes.wide = std::max(sizes.wide, pixels * channels_of(i - 1));
    sizes.narrow = std::max(sizes.narrow, pixels * channels_of(i));
  }
  return sizes;
}

void VaeDecoder::run_coarse(const Run& run, vae::Maps& maps, const Tensor& latents) const {
  const Weights& w = weights_.weights;
  vae::Norms norms(config_);
  run.backend.conv2d(maps.x, latents, w.conv_in.weight, {.bias = w.conv_in.bias});
  vae::forward(run, norms, w.middle, maps);
  for (const vae::Resnet& resnet : w.levels.front().resnets) vae::forward(run, norms, resnet, maps);
}

bool VaeDecoder::run_levels(const Run& run, const Levels& levels, vae::Norms& norms,
                            vae::Maps& maps, const Tensor& out) const {
  Backend& be = run.backend;
  const Weights& w = weights_.weights;
  for (std::size_t i = levels.first; i < levels.end; ++i) {
    run.throw_if_stopped();
    const vae::Conv& upsample = *w.levels[i - 1].upsample;
    const Tensor x = maps.x;
    be.conv2d(maps.move({2 * x.dim(0), 2 * x.dim(1), x.dim(2)}), x, upsample.weight,
              {.bias = upsample.bias, .upsample_2x = true});
    for (const vae::Resnet& resnet : w.levels[i].resnets) {
      if (!vae::forward(run, norms, resnet, maps)) return false;
    }
  }
  if (!is_last(levels)) return true;
  const Tensor x = maps.x;  // [H, W, channels]
  if (!norms.next(be, x, x, w.norm_out, Activation::Silu)) return false;
  be.conv2d(out, x, w.conv_out.weight, {.bias = w.conv_out.bias});
  return true;
}

void VaeDecoder::decode(const Run& run, const Tensor& out, const Tensor& latents) const {
  Arena::Frame frame(run.arena);
  const Tensor z = frame.make(run.backend.activation_dtype(), latents.shape);
  run.backend.cast(z, latents);
  const std::int64_t pixels = z.dim(0) * z.dim(1);
  const vae::MapSizes coarse = coarse_sizes(pixels);
  const vae::MapSizes fine = level_sizes(fine_levels(), pixels);
  vae::Maps maps = vae::make_maps(
      frame, z.dtype,
      {.narrow = std::max(coarse.narrow, fine.narrow), .wide = std::max(coarse.wide, fine.wide)},
      {z.dim(0), z.dim(1), channels_of(0)});
  run_coarse(run, maps, z);
  vae::Norms norms(config_);
  run_levels(run, fine_levels(), norms, maps, out);
}

std::int64_t VaeDecoder::norms_of(const Levels& levels) const {
  std::int64_t norms = is_last(levels) ? 1 : 0;
  for (std::size_t i = levels.first; i < levels.end; ++i)
    norms += 2 * static_cast<std::int64_t>(weights_.weights.levels[i].resnets.size());
  return norms;
}

// From the last convolution to the first: each sees one row more.
std::int64_t VaeDecoder::halo_of(const Levels& levels) const {
  std::int64_t rows = is_last(levels) ? 1 : 0;
  for (std::size_t i = levels.end; i-- > levels.first;) {
    rows += 2 * static_cast<std::int64_t>(weights_.weights.levels[i].resnets.size());
    rows = (rows + 1 + 1) / 2;  // the upsampling's own, and half of one counts as one
  }
  return rows;
}

void VaeDecoder::run_section(const Run& run, const Tensor& map, const vae::Section& section,
                             const DecodedRows& made) const {
  const Levels levels = levels_of(section);
  const vae::Windows windows(map.dim(0), section.rows, halo_of(levels));
  const std::int64_t scale = section.scale();
  Arena::Frame frame(run.arena);
  vae::Maps maps =
      vae::make_maps(frame, map.dtype, level_sizes(levels, windows.height() * map.dim(1)),
                     {0, map.dim(1), map.dim(2)});
  Tensor pixels;
  if (is_last(levels))
    pixels = frame.make(map.dtype, {windows.height() * scale, map.dim(1) * scale, 3});
  vae::run_in_windows(
      run, config_, windows, norms_of(levels), [&](std::int64_t i, vae::Norms& norms) {
        maps.x = map.rows(windows.begin(i), windows.begin(i) + windows.height());
        if (!run_levels(run, levels, norms, maps, pixels)) return;
        const vae::MapRows strip = windows.strip(i);
        made((is_last(levels) ? pixels : maps.x).rows(strip.begin * scale, strip.end * scale),
             windows.strip_begin(i) * scale);
      });
}

// The map before is made in memory that is free again when this one is.
void VaeDecoder::make_map(const Run& run, const Tensor& out, const Tensor& latents,
                          std::span<const vae::Section> sections) const {
  Arena::Frame frame(run.arena);
  if (sections.empty()) {
    vae::Maps maps =
        vae::make_maps(frame, out.dtype, coarse_sizes(latents.dim(0) * latents.dim(1)), out.shape);
    run_coarse(run, maps, latents);
    run.backend.copy(out, maps.x);
    return;
  }
  const vae::Section& last = sections.back();
  const Tensor before = frame.make(out.dtype, {out.dim(0) / last.scale(), out.dim(1) / last.scale(),
                                               channels_of(levels_of(last).first - 1)});
  make_map(run, before, latents, sections.first(sections.size() - 1));
  run_section(run, before, last, [&](const Tensor& rows, std::int64_t first) {
    run.backend.copy(out.rows(first, first + rows.dim(0)), rows);
  });
}

void VaeDecoder::decode_in_strips(const Run& run, const Tensor& latents, const VaeStrips& strips,
                                  const DecodedRows& decoded) const {
  const std::vector<vae::Section> sections =
      vae::cut_into_sections(strips, config_.channels.size() - 1);
  const vae::Section& last = sections.back();
  const std::int64_t scale = std::int64_t{1} << last.first;
  Arena::Frame frame(run.arena);
  const Tensor map = frame.make(
      run.backend.activation_dtype(),
      {latents.dim(0) * scale, latents.dim(1) * scale, channels_of(levels_of(last).first - 1)});
  {
    Arena::Frame inner(run.arena);
    const Tensor z = inner.make(map.dtype, latents.shape);
    run.backend.cast(z, latents);
    make_map(run, map, z, std::span(sections).first(sections.size() - 1));
  }
  run_section(run, map, last, decoded);
}

}  // namespace zimage
