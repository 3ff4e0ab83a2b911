// The path of the data: ids, features, latents, pixels.
#include "pipeline/drawing.h"

#include <algorithm>

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

// Latent tokens of a pass after the last step, in host memory.
std::vector<float> denoise_pass(const Run& run, const ZImageTransformer& transformer,
                                const Drawing& drawing, const Conditioning& conditioning,
                                const Pass& pass, DrawingObserver& observer) {
  Backend& be = run.backend;
  Arena::Frame frame(run.arena);
  const std::vector<float>& sigmas = drawing.sigmas;
  const Shape shape{pass.count * drawing.grid().tokens(), drawing.latent.token_features()};
  const Tensor latents = frame.make(DType::F32, shape);   // [n T, 64]
  const Tensor velocity = frame.make(DType::F32, shape);  // [n T, 64], negated
  const auto forward = [&] { transformer.forward(run, conditioning, velocity, latents); };
  // Streamed blocks are loaded inside, which a recording does not take.
  const bool streams = transformer.layers().streams();
  const auto step = streams ? nullptr : be.record(forward);
  be.upload(latents, observer.noise(pass.first).data());
  const std::int64_t before = pass.first / drawing.pictures_per_pass * drawing.steps();
  for (std::int64_t i = 0; i < drawing.steps(); ++i) {
    run.throw_if_stopped();
    transformer.select_step(run, conditioning, i);
    streams ? forward() : step->replay();
    // The network returns -v, and Euler adds (next - sigma) * v.
    const auto at = static_cast<std::size_t>(i);
    be.add_scaled(latents, velocity, sigmas[at] - sigmas[at + 1]);
    observer.stepped(before + i + 1, velocity, latents);
  }
  std::vector<float> tokens(static_cast<std::size_t>(shape.elements()));
  be.download(tokens.data(), latents);
  return tokens;
}

// Latent tokens of all pictures after the last step, in host memory.
std::vector<float> denoise(const Run& run, const ZImageTransformer& transformer,
                           const Drawing& drawing, const Tensor& features,
                           DrawingObserver& observer) {
  Arena::Frame frame(run.arena);
  std::vector<float> times;
  times.reserve(static_cast<std::size_t>(drawing.steps()));
  for (std::int64_t i = 0; i < drawing.steps(); ++i) {
    times.push_back(time_of(drawing.sigmas[static_cast<std::size_t>(i)]));
  }
  const Conditioning conditioning = transformer.prepare(run, drawing.grid(), features, times);
  std::vector<float> tokens;
  tokens.reserve(static_cast<std::size_t>(drawing.count * drawing.latent.elements()));
  for (std::int64_t first = 0; first < drawing.count; first += drawing.pictures_per_pass) {
    const Pass pass{.first = first,
                    .count = std::min(drawing.pictures_per_pass, drawing.count - first)};
    const std::vector<float> some =
        denoise_pass(run, transformer, drawing, conditioning, pass, observer);
    tokens.insert(tokens.end(), some.begin(), some.end());
  }
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

// Picture number `picture`, from its latent tokens.
void decode_picture(const Run& run, const VaeDecoder& vae, const Drawing& drawing,
                    std::span<const float> tokens, std::int64_t picture,
                    DrawingObserver& observer) {
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
      observer.decoded(
          pixels, {.rows = r, .columns = c, .picture = picture, .index = index++, .count = count});
    }
  }
}

}  // namespace

void decode(const Run& run, const VaeDecoder& vae, const Drawing& drawing,
            std::span<const float> tokens, DrawingObserver& observer) {
  const auto size = static_cast<std::size_t>(drawing.latent.elements());
  for (std::int64_t picture = 0; picture < drawing.count; ++picture) {
    run.throw_if_stopped();
    decode_picture(run, vae, drawing,
                   tokens.subspan(static_cast<std::size_t>(picture) * size, size), picture,
                   observer);
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
