// Between the stages.
#include "pipeline/run_observer.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/float16.h"
#include "image/pixels.h"
#include "pipeline/flat.h"
#include "pipeline/planning.h"
#include "pipeline/seed_variety.h"

namespace zimage {
namespace {

[[noreturn]] void throw_not_finite(Stage stage, const std::string& what) {
  throw Error(ErrorCode::Numerics,
              std::string(name_of(stage)) + ": NaN or infinity in " + what +
                  "; the picture is not written. The weights are damaged, or hold NaN or infinity");
}

bool are_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return std::isfinite(value); });
}

void expect_finite(std::span<const float> values, Stage stage, const std::string& what) {
  if (!are_finite(values)) throw_not_finite(stage, what);
}

// Of f32. Where the backend's memory is the process's own, it is read in place.
bool is_finite(Backend& backend, const Tensor& x) {
  const auto count = static_cast<std::size_t>(x.elements());
  if (backend.memory_kind() == MemoryKind::Host) return are_finite({x.as<float>(), count});
  std::vector<float> values(count);
  backend.download(values.data(), x);
  return are_finite(values);
}

// "(12, 12, 13)", of its first pixel, after "black" where it is that.
std::string colour_text(const Image& image) {
  const std::string levels = "(" + std::to_string(image.rgb[0]) + ", " +
                             std::to_string(image.rgb[1]) + ", " + std::to_string(image.rgb[2]) +
                             ")";
  const bool is_black = std::max({image.rgb[0], image.rgb[1], image.rgb[2]}) <= 1;
  return is_black ? "black, " + levels : levels;
}

// Keeps the upper left width x height.
void crop(Image& image, std::int64_t width, std::int64_t height) {
  if (width == image.width && height == image.height) return;
  std::uint8_t* out = image.rgb.data();
  for (std::int64_t row = 0; row < height; ++row)
    out = std::copy_n(image.rgb.data() + row * image.width * 3, width * 3, out);
  image.width = width;
  image.height = height;
  image.rgb.resize(static_cast<std::size_t>(width * height * 3));
}

Image blank(std::int64_t width, std::int64_t height) {
  return {.width = width,
          .height = height,
          .rgb = std::vector<std::uint8_t>(static_cast<std::size_t>(width * height * 3))};
}

// Rows [rows, columns, 3] in host memory become the image's rows from `first` on; what lies to the
// right of it is dropped.
void put_rows(Image& image, std::int64_t first, const Tensor& rows) {
  const auto count = static_cast<std::size_t>(image.width * 3);
  for (std::int64_t row = 0; row < rows.dim(0); ++row) {
    const auto out = static_cast<std::size_t>(first + row) * count;
    const std::int64_t at = row * rows.dim(1) * 3;
    if (!to_bytes({&image.rgb[out], count}, rows.slice(at, at + image.width * 3)))
      throw_not_finite(Stage::Decode, "its pixels");
  }
}

// Pixels [rows, columns, 3] become the image's rows from `first` on, without what lies below it or
// to the right. Fetched some rows at a time: memory that is touched for the first time costs more
// than the copy.
void fetch_rows(Backend& backend, Image& image, std::int64_t first, const Tensor& pixels) {
  constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
  const std::int64_t rows = std::min(pixels.dim(0), image.height - first);
  const std::size_t row_bytes = pixels.rows(0, 1).bytes();
  const auto step = static_cast<std::int64_t>(std::max<std::size_t>(kPieceBytes / row_bytes, 1));
  std::vector<std::byte> memory(static_cast<std::size_t>(step) * row_bytes);
  for (std::int64_t row = 0; row < rows; row += step) {
    Tensor piece = pixels.rows(row, std::min(rows, row + step));
    backend.download(memory.data(), piece);
    piece.data = memory.data();
    put_rows(image, first + row, piece);
  }
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::vector<float> to_host(Backend& backend, const Tensor& x) {
  std::vector<float> values(static_cast<std::size_t>(x.elements()));
  if (x.dtype == DType::F32) {
    backend.download(values.data(), x);
    return values;
  }
  std::vector<std::uint16_t> bits(values.size());
  backend.download(bits.data(), x);
  std::transform(bits.begin(), bits.end(), values.begin(), bf16_to_float);
  return values;
}

void RunObserver::begin(Stage stage) {
  stage_ = stage;
  report(0);
  const Clock::time_point start = Clock::now();
  // The caption features, which the text encoder leaves, stay where they are.
  const bool moves = stage != Stage::Denoise || !context_.plan.of(Stage::EncodePrompt).runs;
  if (context_.plan.keep == Keep::None) {
    if (moves) context_.activations.release();
    for (const Stage other :
         {Stage::EncodeImage, Stage::EncodePrompt, Stage::Denoise, Stage::Decode}) {
      if (other != stage) context_.parts.release(other);
    }
  }
  context_.parts.load(stage, context_.plan.of(stage).streamed, context_.run.stop);
  if (moves) context_.activations.reserve(activation_bytes(context_.plan, stage));
  timings.load += seconds_since(start);
  start_ = Clock::now();
}

Beginning& RunObserver::beginning() {
  if (noise_.valid()) beginning_.emplace(noise_.get());
  return *beginning_;
}

std::span<const float> RunObserver::pixels(std::int64_t begin, std::int64_t end) {
  asked_ = encoder_pixels(context_.source.picture, begin, end);
  return asked_;
}

std::span<const float> RunObserver::latents(std::int64_t first, std::int64_t count, float sigma) {
  return beginning().at(first, count, sigma);
}

std::span<const float> RunObserver::mask() {
  asked_ = mask_tokens(context_.source, context_.drawing.latent);
  return asked_;
}

std::span<const float> RunObserver::noise(std::int64_t first, std::int64_t draw) {
  return beginning().noise(first, draw);
}

void RunObserver::picture_encoded(std::span<const float> moments) {
  asked_ = {};
  expect_finite(moments, stage_, "the picture's latents");
  beginning().set_picture(moments, context_.drawing.latent_scale);
  timings.encode_image = seconds_since(start_);
  report(1);
}

std::span<const float> RunObserver::features(std::int64_t prompt) {
  return context_.features[static_cast<std::size_t>(prompt)]->values;
}

std::span<const float> RunObserver::varied(std::int64_t picture) {
  const std::span<const float> all = features(0);
  const auto rows = static_cast<std::int64_t>(context_.drawing.ids.size());
  const Request& request = context_.request;
  asked_ =
      varied_features(all, static_cast<std::int64_t>(all.size()) / rows,
                      {.amount = request.seed_variety, .seed = request.seed, .picture = picture});
  return asked_;
}

void RunObserver::encoded(std::int64_t prompt, const Tensor& features) {
  std::vector<float> values = to_host(context_.run.backend, features);
  expect_finite(values, stage_, "the caption's features");
  context_.features[static_cast<std::size_t>(prompt)]->values = std::move(values);
  timings.encode_prompt = seconds_since(start_);
  report(++encoded_);
}

// Counted in its pass, from 1 on.
std::int64_t RunObserver::step_of(std::int64_t evaluation) const {
  return (evaluation - 1) % context_.drawing.evaluations() + 1;
}

void RunObserver::preview(std::int64_t evaluation, const Tensor& velocity,
                          const Tensor& latents) const {
  const Drawing& drawing = context_.drawing;
  const std::int64_t step = step_of(evaluation);
  const PreviewOptions* const previews = context_.previews;
  if (previews == nullptr || step % previews->every != 0 || step == drawing.evaluations()) return;
  const std::int64_t scale = context_.parts.planned().vae->config().scale();
  const auto level = static_cast<std::size_t>(level_of(drawing.sampler, step));
  std::vector<float> tokens = to_host(context_.run.backend, latents);
  const std::vector<float> change = to_host(context_.run.backend, velocity);
  // The network's velocity is negated: what it leads to is x + sigma * v.
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] += drawing.sigmas[level] * change[i];
  const auto size = static_cast<std::size_t>(drawing.latent.elements());
  std::int64_t picture = (evaluation - 1) / drawing.evaluations() * drawing.pictures_per_pass;
  for (std::size_t at = 0; at < tokens.size(); at += size) {
    const std::vector<float> map =
        map_from_tokens(std::span(tokens).subspan(at, size), drawing.latent, drawing.latent_scale);
    Image image = context_.latent_rgb->image(map, drawing.latent);
    const auto cropped = [&](std::int64_t pixels) { return (pixels + scale - 1) / scale; };
    crop(image, cropped(*context_.request.width), cropped(*context_.request.height));
    previews->show({.image = std::move(image),
                    .picture = picture++,
                    .step = step,
                    .steps = drawing.evaluations()});
  }
}

void RunObserver::stepped(std::int64_t evaluation, const Tensor& velocity, const Tensor& latents) {
  // Waiting keeps progress and cancellation in step with the device; without either nothing waits,
  // and of a step that goes wrong the last latents tell.
  const Run& run = context_.run;
  const bool waits = context_.progress || run.stop.stop_possible();
  if (waits) run.backend.synchronize();
  const bool looks = waits || run.backend.memory_kind() == MemoryKind::Host;
  if (looks && !is_finite(run.backend, velocity))
    throw_not_finite(stage_, "the velocity of step " + std::to_string(step_of(evaluation)));
  report(evaluation);
  preview(evaluation, velocity, latents);
}

void RunObserver::denoised(std::span<const float> latents) {
  timings.denoise = seconds_since(start_);
  beginning_.reset();
  asked_ = {};
  expect_finite(latents, stage_, "its latents");
  const LatentShape& shape = context_.drawing.latent;
  const auto size = static_cast<std::size_t>(shape.elements());
  for (std::size_t at = 0; at < latents.size(); at += size)
    flat_latents_.push_back(are_rows_equal(latents.subspan(at, size), shape.token_features()));
}

void RunObserver::expect_picture(const Image& image, std::int64_t picture) const {
  if (context_.request.allow_flat || !is_flat(image)) return;
  if (is_flat(context_.source.picture)) return;  // of which it may be a likeness
  const bool early = flat_latents_[static_cast<std::size_t>(picture)];
  throw Error(ErrorCode::Numerics,
              std::string(name_of(early ? Stage::Denoise : Stage::Decode)) +
                  (early ? ": its latents are all the same, and so is the picture: "
                         : ": the picture is ") +
                  colour_text(image) +
                  " all over; it is not written, unless flat pictures are allowed");
}

void RunObserver::decoded(const Tensor& x, const PictureRows& rows) {
  const Request& request = context_.request;
  if (rows.first == 0) unfinished_ = blank(*request.width, *request.height);
  if (rows.first >= unfinished_.height) return;  // of what was drawn to fill a latent pixel
  fetch_rows(context_.run.backend, unfinished_, rows.first, x);
  if (rows.first + x.dim(0) < unfinished_.height) return;
  images.push_back(std::exchange(unfinished_, {}));
  expect_picture(images.back(), rows.picture);
  if (request.composite && context_.drawing.has_mask())
    keep_unmasked(images.back(), context_.source);
  timings.decode = seconds_since(start_);
  report(rows.picture + 1);
}

void RunObserver::report(std::int64_t step) const {
  if (!context_.progress) return;
  const Drawing& drawing = context_.drawing;
  std::int64_t steps = 1;
  if (stage_ == Stage::EncodePrompt) steps = drawing.unknown_prompts();
  if (stage_ == Stage::Denoise) steps = drawing.passes() * drawing.evaluations();
  if (stage_ == Stage::Decode) steps = drawing.count;
  context_.progress({.stage = stage_, .step = step, .steps = steps});
}

}  // namespace zimage
