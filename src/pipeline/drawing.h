// The pictures of a request from token ids to pixels on a backend: the three networks in order. The
// same function runs on the device and on the plan, so the two cannot disagree.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nn/run.h"
#include "pipeline/guidance.h"
#include "pipeline/latents.h"
#include "pipeline/model.h"
#include "scheduler/sampler_step.h"
#include "text_encoder/qwen3.h"
#include "transformer/transformer.h"
#include "vae/vae.h"

namespace zimage {

// The networks of a model on one backend, which must outlive them. Absent until loaded.
struct Networks {
  std::unique_ptr<Qwen3Encoder> text_encoder;
  std::unique_ptr<ZImageTransformer> transformer;
  std::unique_ptr<VaeDecoder> vae;
  std::unique_ptr<VaeEncoder> vae_encoder;
};

// What a drawing begins with.
enum class Source : std::uint8_t {
  Noise,
  Picture,        // and as much noise as the first noise level has
  MaskedPicture,  // the same, and where the mask says so, the picture comes back after each step
};

// A request in the networks' terms.
struct Drawing {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> negative_ids = {};  // with guidance
  LatentShape latent;
  Guidance guidance = {};
  Sampler sampler = Sampler::Euler;
  std::vector<float> sigmas;       // steps + 1 noise levels
  std::int64_t skipped_steps = 0;  // of the schedule, before the first of them
  LatentScale latent_scale = {};   // of the autoencoder
  Source source = Source::Noise;
  // Which prompts' features the observer has: of the prompt, of the negative one.
  std::array<bool, 2> known = {};
  std::int64_t varied_steps = 0;       // the first ones, which see other features
  std::int64_t count = 1;              // pictures
  std::int64_t pictures_per_pass = 1;  // of them, the most in one forward of the transformer
  VaeStrips strips = {};               // of the decoder; no rows: in one piece
  VaeStrips encoder_strips = {};       // the same of the encoder

  Grid grid() const { return {latent.rows / latent.patch, latent.columns / latent.patch}; }
  std::int64_t steps() const { return static_cast<std::int64_t>(sigmas.size()) - 1; }
  // Forwards of the transformer in a pass.
  std::int64_t evaluations() const { return evaluations_of(sampler, steps()); }
  std::int64_t prompts() const { return guidance.is_on() ? 2 : 1; }
  const std::vector<std::int32_t>& ids_of(std::int64_t prompt) const {
    return prompt == 0 ? ids : negative_ids;
  }
  // Prompts that the text encoder runs for.
  std::int64_t unknown_prompts() const {
    return (known[0] ? 0 : 1) + (guidance.is_on() && !known[1] ? 1 : 0);
  }
  bool has_picture() const { return source != Source::Noise; }
  bool has_mask() const { return source == Source::MaskedPicture; }
  std::int64_t passes() const { return (count + pictures_per_pass - 1) / pictures_per_pass; }
};

// What pixels are handed over.
struct PictureRows {
  std::int64_t picture = 0;  // which one of a drawing
  std::int64_t first = 0;    // the first of its rows
};

// Is told what happens, and sees each stage's result in the backend's memory.
class DrawingObserver {
 public:
  DrawingObserver() = default;
  virtual ~DrawingObserver() = default;
  DrawingObserver(const DrawingObserver&) = delete;
  DrawingObserver& operator=(const DrawingObserver&) = delete;

  // Before a stage: the place to load its network.
  virtual void begin(Stage stage) = 0;
  // What the drawing begins with. Asked for when it is to be used; each result lives until the next
  // call.
  //   pixels   rows [begin, end) of the picture, [end - begin, scale columns, 3], -1 to 1
  //   latents  tokens of pictures [first, first + count) at a noise level: the noise, or the
  //   picture
  //            with its share of it, for which the encoder's result was handed over
  //   mask     tokens of one picture, 1 where it is drawn anew
  //   noise    N(0, 1) as tokens, of the pictures from `first` on: draw i is what a sampler adds
  //            after evaluation i - 1
  virtual std::span<const float> pixels(std::int64_t begin, std::int64_t end) = 0;
  virtual std::span<const float> latents(std::int64_t first, std::int64_t count, float sigma) = 0;
  virtual std::span<const float> mask() = 0;
  virtual std::span<const float> noise(std::int64_t first, std::int64_t draw) = 0;
  // The encoder's result [rows, columns, 2 channels], in host memory.
  virtual void picture_encoded(std::span<const float> moments) = 0;
  // Features [L, caption_dim], f32 in host memory: of a prompt that is known (0, or 1 for the
  // negative one), and with variety what the first steps of a picture see in place of the prompt's.
  // Each lives until the next call.
  virtual std::span<const float> features(std::int64_t prompt) = 0;
  virtual std::span<const float> varied(std::int64_t picture) = 0;
  // After an evaluation of the denoising: 1 to passes() * evaluations(), pass by pass. The tensors
  // are of the pictures of the pass.
  virtual void stepped(std::int64_t evaluation, const Tensor& velocity, const Tensor& latents) = 0;
  // Features [L, caption_dim] of a prompt that was not known; activation type.
  virtual void encoded(std::int64_t prompt, const Tensor& features) = 0;
  virtual void denoised(std::span<const float> latents) = 0;  // tokens of all, host memory
  // [rows, scale columns, 3], activation type: of each picture all rows, or some, from the top.
  virtual void decoded(const Tensor& pixels, const PictureRows& rows) = 0;
};

// The first stage alone, after its begin().
void encode_picture(const Run& run, const VaeEncoder& vae, const Drawing& drawing,
                    DrawingObserver& observer);

// The second stage alone: of every prompt that is not known, of which there is one.
void encode_prompts(const Run& run, const Networks& networks, const Drawing& drawing,
                    DrawingObserver& observer);

// The last stage alone, picture by picture, of latent tokens of all, after its begin(); of none
// where nothing is computed.
void decode(const Run& run, const VaeDecoder& vae, const Drawing& drawing,
            std::span<const float> tokens, DrawingObserver& observer);

// Throws Cancelled, and whatever the observer throws.
void draw(const Run& run, const Networks& networks, const Drawing& drawing,
          DrawingObserver& observer);

}  // namespace zimage
