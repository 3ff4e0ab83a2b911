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
  const auto forward = [&] { transformer.forward(run, conditioning, velocity, latents); };
  // Streamed blocks are loaded inside, which a recording does not take.
  const bool streams = transformer.layers().streams();
  const auto step = streams ? nullptr : be.record(forward);
  be.upload(latents, observer.noise().data());
  for (std::int64_t i = 0; i < drawing.steps(); ++i) {
    run.throw_if_stopped();
    transformer.select_step(run, conditioning, i);
    streams ? forward() : step->replay();
    // The network returns -v, and Euler adds (next - sigma) * v.
    const auto at = static_cast<std::size_t>(i);
    be.add_scaled(latents, velocity, sigmas[at] - sigmas[at + 1]);
    observer.stepped(i + 1, velocity, latents);
  }
  std::vector<float> tokens(static_cast<std::size_t>(shape.elements()));
  be.download(tokens.data(), latents);
  return tokens;
}

// A rectangle of a map [rows, columns, channels].
std::vector<float> cut(std::span<const float> map, const LatentShape& shape, const TileSpan& rows,
                       const TileSpan& columns) {
  std::vector<float> part;
  part.reserve(static_cast<std::size_t>((rows.end - rows.begin) * (columns.end - columns.begin) *
                                        shape.channels));
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const auto line = map.subspan(
        static_cast<std::size_t>((row * shape.columns + columns.begin) * shape.channels),
        static_cast<std::size_t>((columns.end - columns.begin) * shape.channels));
    part.insert(part.end(), line.begin(), line.end());
  }
  return part;
}

}  // namespace

void decode(const Run& run, const VaeDecoder& vae, const Drawing& drawing,
            std::span<const float> tokens, DrawingObserver& observer) {
  const LatentShape& shape = drawing.latent;
  const std::int64_t scale = vae.config().scale();
  const std::vector<float> map =
      map_from_tokens(tokens, shape, drawing.latent_scaling, drawing.latent_shift);
  const std::vector<TileSpan> rows = cut_into_tiles(shape.rows, drawing.tile, scale);
  const std::vector<TileSpan> columns = cut_into_tiles(shape.columns, drawing.tile, scale);
  const auto count = static_cast<std::int64_t>(rows.size() * columns.size());
  std::int64_t index = 0;
  for (const TileSpan& r : rows) {
    for (const TileSpan& c : columns) {
      Arena::Frame frame(run.arena);
      const Shape size{r.end - r.begin, c.end - c.begin, shape.channels};
      const Tensor latents = frame.make(DType::F32, size);
      run.backend.upload(latents, cut(map, shape, r, c).data());
      const Tensor pixels =
          frame.make(run.backend.activation_dtype(), {size[0] * scale, size[1] * scale, 3});
      vae.decode(run, pixels, latents);
      observer.decoded(pixels, {.rows = r, .columns = c, .index = index++, .count = count});
    }
  }
}

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
