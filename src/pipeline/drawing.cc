// The path of the data: ids, features, latents, pixels.
#include "pipeline/drawing.h"

namespace zimage {
namespace {

// 1 - sigma, rounded as the reference rounds it on its way through timesteps of 1000.
// Source: diffusers ZImagePipeline.__call__, (1000 - t) / 1000.
float time_of(float sigma) {
  return (1000.0F - sigma * 1000.0F) / 1000.0F;
}

// Latent tokens after the last step, in host memory.
std::vector<float> denoise(const Run& run, const ZImageTransformer& transformer,
                           const Drawing& drawing, const Tensor& features,
                           DrawingObserver& observer) {
  Backend& be = run.backend;
  Arena::Frame frame(run.arena);
  const std::vector<float>& sigmas = drawing.sigmas;
  const Shape shape{drawing.grid().tokens(), drawing.latent.token_features()};
  const Tensor latents = frame.make(DType::F32, shape);   // [T, 64]
  const Tensor velocity = frame.make(DType::F32, shape);  // [T, 64], negated
  std::vector<float> times;
  times.reserve(static_cast<std::size_t>(drawing.steps()));
  for (std::int64_t i = 0; i < drawing.steps(); ++i) {
    times.push_back(time_of(sigmas[static_cast<std::size_t>(i)]));
  }
  const Conditioning conditioning = transformer.prepare(run, drawing.grid(), features, times);
  const auto step = be.record([&] { transformer.forward(run, conditioning, velocity, latents); });
  be.upload(latents, observer.noise().data());
  for (std::int64_t i = 0; i < drawing.steps(); ++i) {
    run.throw_if_stopped();
    transformer.select_step(run, conditioning, i);
    step->replay();
    // The network returns -v, and Euler adds (next - sigma) * v.
    const auto at = static_cast<std::size_t>(i);
    be.add_scaled(latents, velocity, sigmas[at] - sigmas[at + 1]);
    observer.stepped(i + 1, velocity, latents);
  }
  std::vector<float> tokens(static_cast<std::size_t>(shape.elements()));
  be.download(tokens.data(), latents);
  return tokens;
}

void decode(const Run& run, const VaeDecoder& vae, const Drawing& drawing,
            std::span<const float> tokens, DrawingObserver& observer) {
  Arena::Frame frame(run.arena);
  const LatentShape& shape = drawing.latent;
  const std::int64_t scale = vae.config().scale();
  const Tensor map = frame.make(DType::F32, {shape.rows, shape.columns, shape.channels});
  run.backend.upload(
      map, map_from_tokens(tokens, shape, drawing.latent_scaling, drawing.latent_shift).data());
  const Tensor pixels =
      frame.make(run.backend.activation_dtype(), {shape.rows * scale, shape.columns * scale, 3});
  vae.decode(run, pixels, map);
  observer.decoded(pixels);
}

}  // namespace

void draw(const Run& run, const Networks& networks, const Drawing& drawing,
          DrawingObserver& observer) {
  std::vector<float> tokens;
  {
    Arena::Frame frame(run.arena);
    observer.begin(Stage::EncodePrompt);
    const Tensor features = frame.make(
        run.backend.activation_dtype(),
        {static_cast<std::int64_t>(drawing.ids.size()), networks.text_encoder->config().hidden});
    networks.text_encoder->encode(run, features, drawing.ids);
    observer.encoded(features);
    observer.begin(Stage::Denoise);
    tokens = denoise(run, *networks.transformer, drawing, features, observer);
    observer.denoised(tokens);
  }
  observer.begin(Stage::Decode);
  decode(run, *networks.vae, drawing, tokens, observer);
}

}  // namespace zimage
