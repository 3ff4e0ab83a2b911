// Latent tokens, caption features and time to velocity: the S3-DiT of Z-Image.
// Follows diffusers ZImageTransformer2DModel. Two conventions invite errors: time is 1 - sigma, and
// the network returns -v, which callers subtract instead of adding.
#pragma once

#include <cstdint>
#include <span>

#include "nn/layer_store.h"
#include "transformer/block.h"

namespace zimage {

// A picture in tokens: one for each patch of the latent.
struct Grid {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t tokens() const { return rows * columns; }
};

// What depends on the prompts, the size and the schedule but not on the latents: the same for every
// picture of a request. Views of arena memory.
struct Conditioning {
  Grid grid;
  Tensor captions;          // [k Lc, dim], refined, k of them; Lc is their length padded
  Tensor cos_sin;           // [Ti + Lc, head_dim / 2, 2] f32; Ti is the token count padded
  Tensor modulation;        // [steps, modulated blocks * 4 dim] f32
  Tensor final_scale;       // [steps, dim] f32
  Tensor step_modulation;   // [modulated blocks * 4 dim] f32, of the selected step
  Tensor step_final_scale;  // [dim] f32
  // Captions of the first prompt, with which `captions` begins: 1, or one for each picture.
  std::int64_t variants = 1;
};

class ZImageTransformer {
 public:
  // Loads the weights, the main blocks' as `placement` says. Everything given must outlive this.
  ZImageTransformer(TensorSource& source, const TransformerConfig& config, Backend& backend,
                    const LayerPlacement& placement = {});

  const TransformerConfig& config() const { return config_; }
  // The main blocks; where they are streamed, forward() cannot be recorded.
  const LayerStore<Block>& layers() const { return layers_; }

  // Throws InvalidArgument when the picture or the caption has more positions than axes_lens
  // allows.
  void check_size(const Grid& grid, std::int64_t caption_rows) const;

  // Whether captions of so many rows have one length when they are padded.
  static bool fit_together(std::int64_t caption_rows, std::int64_t other_rows);

  // Embeds and refines the captions [L, caption_dim], all of which fit together, and computes the
  // modulations of every step; `times` are 1 - sigma. The result lives in the caller's frame of
  // run.arena.
  Conditioning prepare(const Run& run, const Grid& grid, std::span<const Tensor> captions,
                       std::span<const float> times) const;
  // The same with other captions; what depends on the steps is shared, the selected one too.
  Conditioning prepare_captions(const Run& run, const Conditioning& conditioning,
                                std::span<const Tensor> captions) const;

  // The same with room for `variants` captions of the first prompt and `others` of other prompts,
  // each of `rows` rows before they are padded, which set_caption() gives.
  Conditioning make_captions(const Run& run, const Conditioning& conditioning, std::int64_t rows,
                             std::int64_t variants, std::int64_t others) const;
  // Embeds and refines caption number `index` [rows, caption_dim].
  void set_caption(const Run& run, const Conditioning& conditioning, std::int64_t index,
                   const Tensor& caption) const;

  // Makes `step` the one that forward() computes.
  void select_step(const Run& run, const Conditioning& conditioning, std::int64_t step) const;

  // out = -velocity. latents [n tokens, token_features] f32: n pictures, none of which sees
  // another. out [m n tokens, token_features] f32: of all of them with the first prompt, each with
  // its own caption where there are variants, then of all with the second, and so on, as many
  // prompts as there is room for.
  void forward(const Run& run, const Conditioning& conditioning, const Tensor& out,
               const Tensor& latents) const;

 private:
  // Everything that is no block.
  struct Edges {
    Weight patch_embedder;    // [dim, token_features]
    Tensor patch_bias;        // [dim]
    Tensor image_pad;         // [dim]
    Tensor caption_pad;       // [dim]
    Tensor caption_norm;      // [caption_dim]
    Weight caption_embedder;  // [dim, caption_dim]
    Tensor caption_bias;      // [dim]
    Weight time_in;           // [1024, 256]
    Tensor time_in_bias;
    Weight time_out;  // [conditioning_dim, 1024]
    Tensor time_out_bias;
    Weight modulation;  // [modulated blocks * 4 dim, conditioning_dim]
    Tensor modulation_bias;
    Weight final_modulation;  // [dim, conditioning_dim]
    Tensor final_modulation_bias;
    Weight velocity;  // [token_features, dim]
    Tensor velocity_bias;
  };
  static Edges load_edges(const WeightScope& all, const TransformerConfig& c);

  // caption [L, caption_dim] to x [Lc, dim].
  void embed_caption(const Run& run, const Tensor& x, const Tensor& cos_sin,
                     const Tensor& caption) const;
  // latents [n tokens, token_features] to x [n T, dim], each picture's pads behind its tokens.
  void embed_latents(const Run& run, const Conditioning& conditioning, const Tensor& x,
                     const Tensor& latents) const;
  void embed_times(const Run& run, const Conditioning& conditioning,
                   std::span<const float> times) const;
  Modulation modulation_of(const Conditioning& conditioning, std::int64_t block) const;

  TransformerConfig config_;
  Module<Edges> edges_;
  LayerStore<Block> context_refiner_;
  LayerStore<Block> noise_refiner_;
  LayerStore<Block> layers_;
};

}  // namespace zimage
