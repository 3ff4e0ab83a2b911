// The path of the data: ids, features, latents, pixels.
#include "pipeline/drawing.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "pipeline/sampling.h"

namespace zimage {
namespace {

// 1 - sigma, rounded as the reference rounds it on its way through timesteps of 1000.
// Source: diffusers ZImagePipeline.__call__, (1000 - t) / 1000.
float time_of(float sigma) {
  return (1000.0F - sigma * 1000.0F) / 1000.0F;
}

// Pictures [first, first + count) of a drawing.
struct Pass {
  std::int64_t first = 0;
  std::int64_t count = 1;
};

// What the transformer is told of the prompts.
struct Prompts {
  Conditioning conditioning;             // of all that fit together
  std::optional<Conditioning> negative;  // of the negative one where it does not
};

// Velocities of a pass, negated as the network returns them: of the prompt [n T, 64], and with
// guidance behind them those of the negative prompt.
struct Velocities {
  Tensor all;
  Tensor prompt;
  Tensor negative;
};

Velocities make_velocities(Arena::Frame& frame, const Drawing& drawing, const Pass& pass) {
  const std::int64_t rows = pass.count * drawing.grid().tokens();
  const Tensor all =
      frame.make(DType::F32, {drawing.prompts() * rows, drawing.latent.token_features()});
  return {.all = all,
          .prompt = all.rows(0, rows),
          .negative = drawing.guidance.is_on() ? all.rows(rows, 2 * rows) : Tensor{}};
}

// A forward of a pass, recorded where nothing is loaded inside.
class Forward {
 public:
  // Streamed blocks are loaded inside, which a recording does not take.
  Forward(Backend& be, const ZImageTransformer& transformer, std::function<void()> enqueue)
      : enqueue_(std::move(enqueue)),
        recorded_(transformer.layers().streams() ? nullptr : be.record(enqueue_)) {}
  void operator()() const { recorded_ ? recorded_->replay() : enqueue_(); }

 private:
  std::function<void()> enqueue_;
  std::unique_ptr<Recording> recorded_;
};

bool is_guided(const Drawing& drawing, std::int64_t level) {
  return drawing.guidance.is_on_at(time_of(drawing.sigmas[static_cast<std::size_t>(level)]));
}

// The noise level of the latents behind an evaluation.
float level_after(const Drawing& drawing, std::int64_t evaluation) {
  return drawing.sigmas[static_cast<std::size_t>(level_of(drawing.sampler, evaluation + 1))];
}

// Those that a pass has: of the prompt alone, and of both prompts.
struct PassForwards {
  std::optional<Forward> alone;
  std::optional<Forward> both;
};

// What the forwards of a pass have in common.
struct PassTensors {
  Velocities velocities;
  Tensor latents;
};

// Noise levels [first, last).
struct Levels {
  std::int64_t first = 0;
  std::int64_t last = 0;
};

// Of some noise levels. All but the tensors is referred to.
PassForwards record_forwards(const Run& run, const ZImageTransformer& transformer,
                             const Drawing& drawing, const Levels& levels, const Prompts& prompts,
                             const PassTensors& tensors) {
  PassForwards forwards;
  for (std::int64_t level = levels.first; level < levels.last; ++level) {
    if (is_guided(drawing, level)) {
      if (forwards.both) continue;
      forwards.both.emplace(run.backend, transformer, [=, &run, &transformer, &prompts] {
        const Velocities& out = tensors.velocities;
        transformer.forward(run, prompts.conditioning, prompts.negative ? out.prompt : out.all,
                            tensors.latents);
        if (prompts.negative)
          transformer.forward(run, *prompts.negative, out.negative, tensors.latents);
      });
    } else if (!forwards.alone) {
      forwards.alone.emplace(run.backend, transformer, [=, &run, &transformer, &prompts] {
        transformer.forward(run, prompts.conditioning, tensors.velocities.prompt, tensors.latents);
      });
    }
  }
  return forwards;
}

// Features of host memory, f32, to `features` in the activation type.
void upload_features(const Run& run, const Tensor& features, std::span<const float> values) {
  Arena::Frame frame(run.arena);
  Tensor exact = features;
  if (features.dtype != DType::F32) exact = frame.make(DType::F32, features.shape);
  run.backend.upload(exact, values.data());
  if (features.dtype != DType::F32) run.backend.cast(features, exact);
}

// The prompts as the transformer is told of them, and the features they are made of.
struct Conditions {
  Prompts prompts;
  std::span<const Tensor> captions;
};

// With a variant of the prompt for each picture of a pass.
Prompts vary_prompt(const Run& run, const ZImageTransformer& transformer,
                    const Conditions& conditions, const Pass& pass, DrawingObserver& observer) {
  const std::span<const Tensor> captions = conditions.captions;
  const bool together = captions.size() > 1 && !conditions.prompts.negative;
  Prompts varied = conditions.prompts;
  varied.conditioning = transformer.make_captions(
      run, conditions.prompts.conditioning, captions.front().dim(0), pass.count, together ? 1 : 0);
  for (std::int64_t i = 0; i < pass.count; ++i) {
    Arena::Frame frame(run.arena);
    const Tensor caption = frame.make(captions.front().dtype, captions.front().shape);
    upload_features(run, caption, observer.varied(pass.first + i));
    transformer.set_caption(run, varied.conditioning, i, caption);
  }
  if (together) transformer.set_caption(run, varied.conditioning, pass.count, captions.back());
  return varied;
}

// What puts the picture's latents back where the mask keeps them; absent without a mask.
struct Unmasked {
  Tensor kept;  // at the noise level that is due
  Tensor mask;
};

Unmasked make_unmasked(Backend& be, Arena::Frame& frame, const Drawing& drawing,
                       const Tensor& latents, DrawingObserver& observer) {
  if (!drawing.has_mask()) return {};
  const Unmasked unmasked{.kept = frame.make(DType::F32, latents.shape),
                          .mask = frame.make(DType::F32, latents.shape)};
  const std::int64_t rows = drawing.grid().tokens();
  const std::span<const float> tokens = observer.mask();
  for (std::int64_t row = 0; row < latents.dim(0); row += rows)
    be.upload(unmasked.mask.rows(row, row + rows), tokens.data());
  return unmasked;
}

// Latent tokens of a pass after the last step, in host memory; none where nothing is computed.
std::vector<float> denoise_pass(const Run& run, const ZImageTransformer& transformer,
                                const Drawing& drawing, const Conditions& conditions,
                                const Pass& pass, DrawingObserver& observer) {
  Backend& be = run.backend;
  const Conditioning& conditioning = conditions.prompts.conditioning;
  Arena::Frame frame(run.arena);
  const Velocities velocities = make_velocities(frame, drawing, pass);
  SamplerState state = make_sampler_state(frame, drawing.sampler, velocities.prompt);
  const Prediction prediction = history_of(drawing.sampler).prediction;
  const Unmasked unmasked = make_unmasked(be, frame, drawing, state.latents, observer);
  const std::int64_t plain = drawing.varied_steps;  // the first noise level of the others
  const PassTensors tensors{.velocities = velocities, .latents = state.latents};
  Prompts varied;
  if (plain > 0) varied = vary_prompt(run, transformer, conditions, pass, observer);
  const PassForwards first =
      record_forwards(run, transformer, drawing, {.first = 0, .last = plain}, varied, tensors);
  const PassForwards later =
      record_forwards(run, transformer, drawing, {.first = plain, .last = drawing.steps()},
                      conditions.prompts, tensors);
  const auto beginning = [&](float sigma) {
    return observer.latents(pass.first, pass.count, sigma).data();
  };
  be.upload(state.latents, beginning(drawing.sigmas.front()));
  const Stations stations{.sigmas = drawing.sigmas, .skipped = drawing.skipped_steps};
  const std::int64_t before = pass.first / drawing.pictures_per_pass * drawing.evaluations();
  for (std::int64_t i = 0; i < drawing.evaluations(); ++i) {
    run.throw_if_stopped();
    const std::int64_t level = level_of(drawing.sampler, i);
    transformer.select_step(run, conditioning, level);
    const PassForwards& forwards = level < plain ? first : later;
    if (is_guided(drawing, level)) {
      (*forwards.both)();
      apply_guidance(be, velocities.prompt, velocities.negative, drawing.guidance, pass.count);
    } else {
      (*forwards.alone)();
    }
    const SamplerStep change = sampler_step(drawing.sampler, stations, i);
    if (change.noise != 0) be.upload(state.noise, observer.noise(pass.first, i + 1).data());
    advance(be, state, prediction, change, drawing.sigmas[static_cast<std::size_t>(level)]);
    if (drawing.has_mask()) {
      be.upload(unmasked.kept, beginning(level_after(drawing, i)));
      be.blend(state.latents, unmasked.kept, unmasked.mask);
    }
    observer.stepped(before + i + 1, state.velocity, state.latents);
  }
  return be.download(state.latents);
}

Prompts prepare_prompts(const Run& run, const ZImageTransformer& transformer,
                        const Drawing& drawing, std::span<const Tensor> captions) {
  std::vector<float> times;
  times.reserve(static_cast<std::size_t>(drawing.steps()));
  for (std::int64_t i = 0; i < drawing.steps(); ++i) {
    times.push_back(time_of(drawing.sigmas[static_cast<std::size_t>(i)]));
  }
  const bool together =
      ZImageTransformer::fit_together(captions.front().dim(0), captions.back().dim(0));
  Prompts prompts{.conditioning = transformer.prepare(
                      run, drawing.grid(), together ? captions : captions.first(1), times),
                  .negative = {}};
  if (!together)
    prompts.negative = transformer.prepare_captions(run, prompts.conditioning, captions.last(1));
  return prompts;
}

// Latent tokens of all pictures after the last step, in host memory; none where nothing is
// computed.
std::vector<float> denoise(const Run& run, const ZImageTransformer& transformer,
                           const Drawing& drawing, std::span<const Tensor> captions,
                           DrawingObserver& observer) {
  Arena::Frame frame(run.arena);
  const Conditions conditions{.prompts = prepare_prompts(run, transformer, drawing, captions),
                              .captions = captions};
  std::vector<float> tokens;
  const auto draw_pass = [&](const Pass& pass) {
    const std::vector<float> some =
        denoise_pass(run, transformer, drawing, conditions, pass, observer);
    if (tokens.empty()) tokens.reserve(some.size() * static_cast<std::size_t>(drawing.passes()));
    tokens.insert(tokens.end(), some.begin(), some.end());
  };
  const std::int64_t most = drawing.pictures_per_pass;
  const std::int64_t full = drawing.count / most;
  run.backend.repeat(full, [&](std::int64_t i) { draw_pass({.first = i * most, .count = most}); });
  if (const std::int64_t rest = drawing.count - full * most; rest > 0)
    draw_pass({.first = full * most, .count = rest});
  return tokens;
}

// The features of each prompt, in `frame`. The text encoder is there unless all are known, and then
// the transformer is.
std::vector<Tensor> make_captions(const Run& run, Arena::Frame& frame, const Networks& networks,
                                  const Drawing& drawing, DrawingObserver& observer) {
  const std::int64_t features = networks.text_encoder ? networks.text_encoder->config().hidden
                                                      : networks.transformer->config().caption_dim;
  std::vector<Tensor> captions;
  for (std::int64_t prompt = 0; prompt < drawing.prompts(); ++prompt) {
    const std::vector<std::int32_t>& ids = drawing.ids_of(prompt);
    captions.push_back(frame.make(run.backend.activation_dtype(),
                                  {static_cast<std::int64_t>(ids.size()), features}));
    if (drawing.known[static_cast<std::size_t>(prompt)]) {
      upload_features(run, captions.back(), observer.features(prompt));
    } else {
      networks.text_encoder->encode(run, captions.back(), ids);
      observer.encoded(prompt, captions.back());
    }
  }
  return captions;
}

// Picture number `picture`, from the latent tokens of all.
void decode_picture(const Run& run, const VaeDecoder& vae, const Drawing& drawing,
                    std::span<const float> tokens, std::int64_t picture,
                    DrawingObserver& observer) {
  const LatentShape& shape = drawing.latent;
  Arena::Frame frame(run.arena);
  const Tensor latents = frame.make(DType::F32, {shape.rows, shape.columns, shape.channels});
  run.backend.upload(latents, [&] {
    const auto size = static_cast<std::size_t>(shape.elements());
    return map_from_tokens(tokens.subspan(static_cast<std::size_t>(picture) * size, size), shape,
                           drawing.latent_scale);
  });
  if (drawing.strips.rows > 0) {
    vae.decode_in_strips(run, latents, drawing.strips,
                         [&](const Tensor& pixels, std::int64_t first) {
                           observer.decoded(pixels, {.picture = picture, .first = first});
                         });
    return;
  }
  const std::int64_t scale = vae.config().scale();
  const Tensor pixels =
      frame.make(run.backend.activation_dtype(), {shape.rows * scale, shape.columns * scale, 3});
  vae.decode(run, pixels, latents);
  observer.decoded(pixels, {.picture = picture});
}

}  // namespace

void encode_prompts(const Run& run, const Networks& networks, const Drawing& drawing,
                    DrawingObserver& observer) {
  observer.begin(Stage::EncodePrompt);
  Arena::Frame frame(run.arena);
  make_captions(run, frame, networks, drawing, observer);
}

void encode_picture(const Run& run, const VaeEncoder& vae, const Drawing& drawing,
                    DrawingObserver& observer) {
  Backend& be = run.backend;
  const LatentShape& shape = drawing.latent;
  const std::int64_t scale = vae.config().scale();
  Arena::Frame frame(run.arena);
  const Tensor out = frame.make(DType::F32, {shape.rows, shape.columns, 2 * shape.channels});
  if (drawing.encoder_strips.rows > 0) {
    vae.encode_in_strips(
        run, out, [&](std::int64_t begin, std::int64_t end) { return observer.pixels(begin, end); },
        drawing.encoder_strips);
  } else {
    const Tensor pixels = frame.make(DType::F32, {shape.rows * scale, shape.columns * scale, 3});
    be.upload(pixels, observer.pixels(0, pixels.dim(0)).data());
    vae.encode(run, out, pixels);
  }
  observer.picture_encoded(be.download(out));
}

void decode(const Run& run, const VaeDecoder& vae, const Drawing& drawing,
            std::span<const float> tokens, DrawingObserver& observer) {
  run.backend.repeat(drawing.count, [&](std::int64_t picture) {
    run.throw_if_stopped();
    decode_picture(run, vae, drawing, tokens, picture, observer);
  });
}

void draw(const Run& run, const Networks& networks, const Drawing& drawing,
          DrawingObserver& observer) {
  if (drawing.has_picture()) {
    observer.begin(Stage::EncodeImage);
    encode_picture(run, *networks.vae_encoder, drawing, observer);
  }
  std::vector<float> tokens;
  {
    Arena::Frame frame(run.arena);
    const bool encodes = drawing.unknown_prompts() > 0;
    observer.begin(encodes ? Stage::EncodePrompt : Stage::Denoise);
    const std::vector<Tensor> captions = make_captions(run, frame, networks, drawing, observer);
    if (encodes) observer.begin(Stage::Denoise);
    tokens = denoise(run, *networks.transformer, drawing, captions, observer);
    observer.denoised(tokens);
  }
  observer.begin(Stage::Decode);
  decode(run, *networks.vae, drawing, tokens, observer);
}

}  // namespace zimage
