// The forward pass, and what is computed once before it.
#include "transformer/transformer.h"

#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "nn/rope.h"
#include "nn/timestep_embedding.h"

namespace zimage {
namespace {

// Sequences are padded to multiples of this, and the pads are attended to. Source: SEQ_MULTI_OF.
constexpr std::int64_t kSequenceMultiple = 32;
// Source: FinalLayer, LayerNorm(eps=1e-6).
constexpr float kFinalNormEps = 1e-6F;

std::int64_t padded(std::int64_t rows) {
  return (rows + kSequenceMultiple - 1) / kSequenceMultiple * kSequenceMultiple;
}

// Rows [image, image pads, caption with pads]. Caption row i stands at frame 1 + i; the image's
// frame follows the caption's last; image pads stand at the origin.
std::vector<Position> positions_of(const Grid& grid, std::int64_t caption_rows) {
  std::vector<Position> positions;
  for (std::int64_t row = 0; row < grid.rows; ++row) {
    for (std::int64_t column = 0; column < grid.columns; ++column)
      positions.push_back({caption_rows + 1, row, column});
  }
  positions.resize(static_cast<std::size_t>(padded(grid.tokens())), Position{0, 0, 0});
  for (std::int64_t i = 0; i < caption_rows; ++i) positions.push_back({1 + i, 0, 0});
  return positions;
}

// Rows of sequence `i`, of `length` each.
Tensor sequence(const Tensor& x, std::int64_t i, std::int64_t length) {
  return x.rows(i * length, (i + 1) * length);
}

// Which caption sequence `i` has, of those of `pictures` pictures with each prompt.
std::int64_t caption_of(const Conditioning& conditioning, std::int64_t pictures, std::int64_t i) {
  const std::int64_t prompt = i / pictures;
  if (prompt > 0) return conditioning.variants + prompt - 1;
  return conditioning.variants > 1 ? i : 0;
}

// x in the backend's activation type: itself, or a copy in `frame`.
Tensor as_activation(const Run& run, Arena::Frame& frame, const Tensor& x) {
  if (x.dtype == run.backend.activation_dtype()) return x;
  const Tensor copy = frame.make(run.backend.activation_dtype(), x.shape);
  run.backend.cast(copy, x);
  return copy;
}

}  // namespace

void ZImageTransformer::check_size(const Grid& grid, std::int64_t caption_rows) const {
  const std::int64_t needed[] = {padded(caption_rows) + 2, grid.rows, grid.columns};
  const char* names[] = {"the caption", "the picture's height", "the picture's width"};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (needed[axis] > config_.axes_lens[axis]) {
      throw Error(ErrorCode::InvalidArgument,
                  std::string(names[axis]) + " takes " + std::to_string(needed[axis]) +
                      " positions, the model has " + std::to_string(config_.axes_lens[axis]));
    }
  }
}

bool ZImageTransformer::fit_together(std::int64_t caption_rows, std::int64_t other_rows) {
  return padded(caption_rows) == padded(other_rows);
}

Conditioning ZImageTransformer::prepare(const Run& run, const Grid& grid,
                                        std::span<const Tensor> captions,
                                        std::span<const float> times) const {
  const auto steps = static_cast<std::int64_t>(times.size());
  const std::int64_t modulations = config_.modulated_blocks() * 4 * config_.dim;
  const Conditioning shared{
      .grid = grid,
      .captions = {},
      .cos_sin = {},
      .modulation = run.arena.make(DType::F32, {steps, modulations}),
      .final_scale = run.arena.make(DType::F32, {steps, config_.dim}),
      .step_modulation = run.arena.make(DType::F32, {modulations}),
      .step_final_scale = run.arena.make(DType::F32, {config_.dim}),
  };
  const Conditioning conditioning = prepare_captions(run, shared, captions);
  embed_times(run, conditioning, times);
  return conditioning;
}

Conditioning ZImageTransformer::prepare_captions(const Run& run, const Conditioning& conditioning,
                                                 std::span<const Tensor> captions) const {
  const auto count = static_cast<std::int64_t>(captions.size());
  const Conditioning result =
      make_captions(run, conditioning, captions.front().dim(0), 1, count - 1);
  for (std::int64_t i = 0; i < count; ++i)
    set_caption(run, result, i, captions[static_cast<std::size_t>(i)]);
  return result;
}

Conditioning ZImageTransformer::make_captions(const Run& run, const Conditioning& conditioning,
                                              std::int64_t rows, std::int64_t variants,
                                              std::int64_t others) const {
  const Grid& grid = conditioning.grid;
  const std::int64_t length = padded(rows);
  const std::int64_t all = padded(grid.tokens()) + length;
  Conditioning result = conditioning;
  result.variants = variants;
  result.captions =
      run.arena.make(run.backend.activation_dtype(), {(variants + others) * length, config_.dim});
  const Shape& known = conditioning.cos_sin.shape;
  if (known.rank() > 0 && known[0] == all) return result;
  result.cos_sin = run.arena.make(DType::F32, {all, config_.head_dim() / 2, 2});
  run.backend.upload(result.cos_sin, [&] {
    return axial_rope_table(positions_of(grid, length), config_.axes_dims, config_.rope_theta);
  });
  return result;
}

void ZImageTransformer::set_caption(const Run& run, const Conditioning& conditioning,
                                    std::int64_t index, const Tensor& caption) const {
  check_size(conditioning.grid, caption.dim(0));
  const std::int64_t all = conditioning.cos_sin.dim(0);
  const std::int64_t length = padded(caption.dim(0));
  embed_caption(run, sequence(conditioning.captions, index, length),
                conditioning.cos_sin.rows(all - length, all), caption);
}

void ZImageTransformer::embed_caption(const Run& run, const Tensor& x, const Tensor& cos_sin,
                                      const Tensor& caption) const {
  Backend& be = run.backend;
  const Edges& edges = edges_.weights;
  Arena::Frame frame(run.arena);
  const Tensor normed = frame.make(caption.dtype, caption.shape);  // [L, caption_dim]
  be.rms_norm(normed, caption, edges.caption_norm, {.eps = config_.norm_eps});
  be.linear(x.rows(0, caption.dim(0)), normed, edges.caption_embedder,
            {.bias = edges.caption_bias});
  be.fill_rows(x.rows(caption.dim(0), x.dim(0)), edges.caption_pad);
  for (std::int64_t i = 0; i < context_refiner_.size(); ++i) {
    run.throw_if_stopped();
    context_refiner_.use(i).forward(run, config_, x, cos_sin, {});
  }
}

void ZImageTransformer::embed_times(const Run& run, const Conditioning& conditioning,
                                    std::span<const float> times) const {
  Backend& be = run.backend;
  const Edges& edges = edges_.weights;
  Arena::Frame frame(run.arena);
  const auto steps = static_cast<std::int64_t>(times.size());
  const Tensor waves = frame.make(DType::F32, {steps, edges.time_in.in});
  const Tensor hidden = frame.make(DType::F32, {steps, edges.time_in.out});
  const Tensor c = frame.make(DType::F32, {steps, config_.conditioning_dim()});
  be.upload(waves, [&] { return timestep_embedding(times, config_.t_scale, edges.time_in.in); });
  be.linear(hidden, waves, edges.time_in,
            {.bias = edges.time_in_bias, .activation = Activation::Silu});
  be.linear(c, hidden, edges.time_out, {.bias = edges.time_out_bias});
  be.linear(conditioning.modulation, c, edges.modulation, {.bias = edges.modulation_bias});
  be.silu(c);  // only the final layer's modulation has a SiLU before it
  be.linear(conditioning.final_scale, c, edges.final_modulation,
            {.bias = edges.final_modulation_bias});
}

void ZImageTransformer::select_step(const Run& run, const Conditioning& conditioning,
                                    std::int64_t step) const {
  const auto row = [step](const Tensor& table) {
    return table.rows(step, step + 1).reshaped({table.dim(1)});
  };
  run.backend.copy(conditioning.step_modulation, row(conditioning.modulation));
  run.backend.copy(conditioning.step_final_scale, row(conditioning.final_scale));
}

Modulation ZImageTransformer::modulation_of(const Conditioning& conditioning,
                                            std::int64_t block) const {
  const auto vector = [&](std::int64_t i) {
    const std::int64_t begin = (4 * block + i) * config_.dim;
    return conditioning.step_modulation.slice(begin, begin + config_.dim);
  };
  return {.attention_scale = vector(0),
          .attention_gate = vector(1),
          .ffn_scale = vector(2),
          .ffn_gate = vector(3)};
}

void ZImageTransformer::embed_latents(const Run& run, const Conditioning& conditioning,
                                      const Tensor& x, const Tensor& latents) const {
  Backend& be = run.backend;
  const Edges& edges = edges_.weights;
  Arena::Frame frame(run.arena);
  const std::int64_t tokens = conditioning.grid.tokens();
  const std::int64_t pictures = latents.dim(0) / tokens;
  const Tensor features = as_activation(run, frame, latents);
  for (std::int64_t i = 0; i < pictures; ++i) {
    const Tensor rows = sequence(x, i, x.dim(0) / pictures);  // [Ti, dim]
    be.linear(rows.rows(0, tokens), sequence(features, i, tokens), edges.patch_embedder,
              {.bias = edges.patch_bias});
    be.fill_rows(rows.rows(tokens, rows.dim(0)), edges.image_pad);
  }
}

void ZImageTransformer::forward(const Run& run, const Conditioning& conditioning, const Tensor& out,
                                const Tensor& latents) const {
  Backend& be = run.backend;
  const Edges& edges = edges_.weights;
  Arena::Frame frame(run.arena);
  const std::int64_t tokens = conditioning.grid.tokens();
  const std::int64_t pictures = latents.dim(0) / tokens;
  const std::int64_t sequences = out.dim(0) / tokens;    // each picture with each caption
  const std::int64_t all = conditioning.cos_sin.dim(0);  // rows of one sequence, Ti + Lc
  const std::int64_t image_rows = padded(tokens);
  const Tensor x = frame.make(be.activation_dtype(), {sequences * all, config_.dim});
  {
    Arena::Frame inner(run.arena);
    // Without captions between them, which they do not see yet: once for all captions. One
    // sequence's rows are in their place from the beginning.
    const Tensor images = sequences == 1
                              ? x.rows(0, image_rows)
                              : inner.make(x.dtype, {pictures * image_rows, config_.dim});
    embed_latents(run, conditioning, images, latents);
    for (std::int64_t i = 0; i < noise_refiner_.size(); ++i) {
      run.throw_if_stopped();
      noise_refiner_.use(i).forward(run, config_, images, conditioning.cos_sin.rows(0, image_rows),
                                    modulation_of(conditioning, i));
    }
    for (std::int64_t i = 0; i < sequences; ++i) {
      const Tensor rows = sequence(x, i, all);
      if (sequences > 1)
        be.copy(rows.rows(0, image_rows), sequence(images, i % pictures, image_rows));
      be.copy(
          rows.rows(image_rows, all),
          sequence(conditioning.captions, caption_of(conditioning, pictures, i), all - image_rows));
    }
  }
  for (std::int64_t i = 0; i < layers_.size(); ++i) {
    run.throw_if_stopped();
    layers_.use(i).forward(run, config_, x, conditioning.cos_sin,
                           modulation_of(conditioning, noise_refiner_.size() + i));
  }
  const Tensor h = frame.make(x.dtype, {sequences * tokens, config_.dim});
  for (std::int64_t i = 0; i < sequences; ++i) {
    be.layer_norm(sequence(h, i, tokens), sequence(x, i, all).rows(0, tokens),
                  {.eps = kFinalNormEps, .scale = conditioning.step_final_scale});
  }
  be.linear(out, h, edges.velocity, {.bias = edges.velocity_bias});
}

}  // namespace zimage
