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
vae::MapSizes VaeEncoder::level_sizes(const Levels& levels, std::int64_t pixels) const {
  vae::MapSizes sizes;
  std::int64_t in = config_.channels[levels.first == 0 ? 0 : levels.first - 1];
  for (std::size_t i = levels.first; i < levels.end; ++i) {
    const std::int64_t out = config_.channels[i];
    sizes.narrow = std::max(sizes.narrow, pixels * std::max(in, out));
    in = out;
    pixels /= 4;
  }
  return sizes;
}

// Three of the attention's projections fit the largest.
vae::MapSizes VaeEncoder::coarse_sizes(std::int64_t pixels) const {
  const std::size_t last = config_.channels.size() - 1;
  return {.narrow = level_sizes({.first = last, .end = last + 1}, pixels).narrow,
          .wide = (config_.mid_attention ? 3 : 1) * pixels * config_.channels.back()};
}

void VaeEncoder::read_pixels(const Run& run, vae::Maps& maps, const Tensor& pixels) const {
  Backend& be = run.backend;
  const vae::Conv& conv = weights_.weights.conv_in;
  Arena::Frame frame(run.arena);
  const Tensor picture = frame.make(be.activation_dtype(), pixels.shape);
  be.cast(picture, pixels);
  be.conv2d(maps.move({pixels.dim(0), pixels.dim(1), config_.channels.front()}), picture,
            conv.weight, {.bias = conv.bias});
}

bool VaeEncoder::run_levels(const Run& run, const Levels& levels, vae::Norms& norms,
                            vae::Maps& maps) const {
  for (std::size_t i = levels.first; i < levels.end; ++i) {
    const Level& level = weights_.weights.levels[i];
    for (const vae::Resnet& resnet : level.resnets) {
      if (!vae::forward(run, norms, resnet, maps)) return false;
    }
    run.throw_if_stopped();
    const Tensor x = maps.x;
    run.backend.conv2d(maps.move({x.dim(0) / 2, x.dim(1) / 2, x.dim(2)}), x,
                       level.downsample->weight,
                       {.bias = level.downsample->bias, .downsample_2x = true});
  }
  return true;
}

void VaeEncoder::run_coarse(const Run& run, vae::Maps& maps, const Tensor& out) const {
  Backend& be = run.backend;
  const Weights& w = weights_.weights;
  vae::Norms norms(config_);
  for (const vae::Resnet& resnet : w.levels.back().resnets) vae::forward(run, norms, resnet, maps);
  vae::forward(run, norms, w.middle, maps);
  Arena::Frame frame(run.arena);
  const Tensor moments = frame.make(maps.x.dtype, out.shape);
  const Tensor x = maps.x;  // [h, w, widest]
  norms.next(be, x, x, w.norm_out, Activation::Silu);
  be.conv2d(moments, x, w.conv_out.weight, {.bias = w.conv_out.bias});
  be.cast(out, moments);
}

void VaeEncoder::encode(const Run& run, const Tensor& out, const Tensor& pixels) const {
  Arena::Frame frame(run.arena);
  const vae::MapSizes fine = level_sizes(fine_levels(), pixels.dim(0) * pixels.dim(1));
  const vae::MapSizes coarse = coarse_sizes(out.dim(0) * out.dim(1));
  vae::Maps maps = vae::make_maps(
      frame, run.backend.activation_dtype(),
      {.narrow = std::max(fine.narrow, coarse.narrow), .wide = std::max(fine.wide, coarse.wide)},
      {0, pixels.dim(1), config_.channels.front()});
  read_pixels(run, maps, pixels);
  vae::Norms norms(config_);
  run_levels(run, fine_levels(), norms, maps);
  run_coarse(run, maps, out);
}

std::int64_t VaeEncoder::norms_of(const Levels& levels) const {
  std::int64_t norms = 0;
  for (std::size_t i = levels.first; i < levels.end; ++i)
    norms += 2 * static_cast<std::int64_t>(weights_.weights.levels[i].resnets.size());
  return norms;
}

// From the last convolution to the first: each sees one row more.
std::int64_t VaeEncoder::halo_of(const Levels& levels) const {
  std::int64_t rows = 0;
  std::int64_t scale = 1;
  for (std::size_t i = levels.end; i-- > levels.first;) {
    rows = 2 * rows + 1;  // the downsampling's own
    rows += 2 * static_cast<std::int64_t>(weights_.weights.levels[i].resnets.size());
    scale *= 2;
  }
  if (levels.first == 0) ++rows;  // the first convolution's
  return (rows + scale - 1) / scale;
}

vae::Windows VaeEncoder::windows_of(const vae::Section& section, std::int64_t rows_behind) const {
  return {rows_behind, section.rows, halo_of(levels_of(section))};
}

void VaeEncoder::run_section(const Run& run, const Tensor& out, const Tensor& before,
                             const vae::Section& section, const PixelRows& pixels) const {
  Backend& be = run.backend;
  const Levels levels = levels_of(section);
  const vae::Windows windows = windows_of(section, out.dim(0));
  const std::int64_t scale = section.scale();
  const std::int64_t height = windows.height() * scale;
  const std::int64_t width = out.dim(1) * scale;
  Arena::Frame frame(run.arena);
  vae::Maps maps =
      vae::make_maps(frame, out.dtype, level_sizes(levels, height * width), {0, width, out.dim(2)});
  Tensor picture;
  if (before.empty()) picture = frame.make(DType::F32, {height, width, 3});
  vae::run_in_windows(
      run, config_, windows, norms_of(levels), [&](std::int64_t i, vae::Norms& norms) {
        const std::int64_t first = windows.begin(i) * scale;
        if (before.empty()) {
          be.upload(picture, pixels(first, first + height).data());
          read_pixels(run, maps, picture);
        } else {
          const Tensor window = before.rows(first, first + height);
          be.copy(maps.move(window.shape), window);
        }
        if (!run_levels(run, levels, norms, maps)) return;
        const vae::MapRows strip = windows.strip(i);
        const std::int64_t row = windows.strip_begin(i);
        be.copy(out.rows(row, row + strip.end - strip.begin), maps.x.rows(strip.begin, strip.end));
      });
}

// The map before is made in memory that is free again when this one is.
void VaeEncoder::make_map(const Run& run, const Tensor& out, std::span<const vae::Section> sections,
                          const PixelRows& pixels) const {
  const vae::Section& section = sections.front();
  Arena::Frame frame(run.arena);
  Tensor before;
  if (sections.size() > 1) {
    before = frame.make(out.dtype, {out.dim(0) * section.scale(), out.dim(1) * section.scale(),
                                    config_.channels[levels_of(section).first - 1]});
    make_map(run, before, sections.subspan(1), pixels);
  }
  run_section(run, out, before, section, pixels);
}

void VaeEncoder::encode_in_strips(const Run& run, const Tensor& out, const PixelRows& pixels,
                                  const VaeStrips& strips) const {
  const std::int64_t channels = config_.channels[config_.channels.size() - 2];
  Arena::Frame frame(run.arena);
  vae::Maps maps =
      vae::make_maps(frame, run.backend.activation_dtype(), coarse_sizes(out.dim(0) * out.dim(1)),
                     {out.dim(0), out.dim(1), channels});
  make_map(run, maps.x, vae::cut_into_sections(strips, fine_levels().end), pixels);
  run_coarse(run, maps, out);
}

std::int64_t VaeEncoder::rows_at_once(const VaeStrips& strips, std::int64_t latent_rows) const {
  const std::vector<vae::Section> sections = vae::cut_into_sections(strips, fine_levels().end);
  const vae::Section& finest = sections.back();
  return windows_of(finest, latent_rows << finest.first).height() * finest.scale();
}

}  // namespace zimage
