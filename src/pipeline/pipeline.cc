// Requests to drawings, drawings to pictures: defaults, limits, loading and checks around draw().
#include "pipeline/pipeline.h"

#include <algorithm>
#include <future>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "backend/profile/profile_backend.h"
#include "image/pixels.h"
#include "pipeline/check_request.h"
#include "pipeline/feature_cache.h"
#include "pipeline/latent_rgb.h"
#include "pipeline/make_backend.h"
#include "pipeline/parts.h"
#include "pipeline/residency.h"
#include "pipeline/run_observer.h"
#include "pipeline/seed_variety.h"
#include "pipeline/source_picture.h"

namespace zimage {
namespace {

// Pages of files that are touched only while it draws (kernels, rows of the embedding table), and
// those that the system maps beside them: 0.5 to 3.3 MB were counted.
constexpr std::size_t kPagesToCome = std::size_t{3} << 19;

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

Encoding encoding_of(const PipelineOptions& options, const Backend& backend) {
  if (options.encoding == "fp8") return Encoding::Fp8;
  if (options.encoding != "auto" && options.encoding != "bf16") {
    throw Error(ErrorCode::InvalidArgument,
                "encoding is \"" + options.encoding + "\", expected auto, bf16 or fp8");
  }
  const bool bf16 = options.encoding == "bf16";
  if (bf16 && options.precision != "auto" && options.precision != "bf16") {
    throw Error(ErrorCode::InvalidArgument, "encoding bf16: precision is \"" + options.precision +
                                                "\", expected auto or bf16 beside it");
  }
  // A card's own type is bf16 already.
  if (backend.memory_kind() == MemoryKind::Device) return Encoding::Plain;
  if (bf16 || options.precision == "bf16") return Encoding::Bf16;
  return options.precision == "fast" ? Encoding::Fast : Encoding::Plain;
}

// Of both prompts; of the negative one with guidance alone.
struct RequestTokens {
  PromptTokens prompt;
  PromptTokens negative;
};

// The noise levels of a complete request.
std::vector<float> sigmas_of(const Request& request, SchedulerConfig config,
                             std::int64_t image_tokens) {
  if (request.shift) {
    config.time_shift = TimeShift::Static;
    config.shift = *request.shift;
  }
  std::vector<float> sigmas = request.sigmas.empty()
                                  ? flow_match_sigmas(*request.steps, config, image_tokens)
                                  : flow_match_sigmas(noise_levels(request), config, image_tokens);
  sigmas.erase(sigmas.begin(), sigmas.begin() + skipped_steps(request));
  return sigmas;
}

Source source_of(const Request& request) {
  if (request.init_image.empty()) return Source::Noise;
  return request.mask.empty() ? Source::Picture : Source::MaskedPicture;
}

// A map in the decoder's terms as pixels [H, W, 3], -1 to 1. Activations are reserved.
std::vector<float> decoded(const Run& run, const VaeDecoder& vae, const std::vector<float>& map,
                           const Drawing& drawing) {
  const LatentShape& shape = drawing.latent;
  Arena::Frame frame(run.arena);
  const std::int64_t scale = vae.config().scale();
  const Tensor latents = frame.make(DType::F32, {shape.rows, shape.columns, shape.channels});
  run.backend.upload(latents, map.data());
  std::vector<float> values;
  const auto take = [&](const Tensor& pixels, std::int64_t /*first*/) {
    const std::vector<float> rows = to_host(run.backend, pixels);
    values.insert(values.end(), rows.begin(), rows.end());
  };
  if (drawing.strips.rows > 0) {
    vae.decode_in_strips(run, latents, drawing.strips, take);
    return values;
  }
  const Tensor pixels =
      frame.make(run.backend.activation_dtype(), {shape.rows * scale, shape.columns * scale, 3});
  vae.decode(run, pixels, latents);
  take(pixels, 0);
  return values;
}

// Runs a drawing or a part of it. Memory that is short then is told beside the plan.
template <typename Work>
void explaining_shortage(const Plan& needed, const RunObserver& observer, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::OutOfMemory) throw;
    throw Error(ErrorCode::OutOfMemory, shortage(needed, observer.stage(), error.what()));
  }
}

}  // namespace

std::string_view version() {
  return ZIMAGE_VERSION;
}

std::string_view name_of(Stage stage) {
  switch (stage) {
    case Stage::EncodeImage: return "image encoder";
    case Stage::EncodePrompt: return "text encoder";
    case Stage::Denoise: return "denoise";
    case Stage::Decode: return "decode";
  }
  return "?";
}

class Pipeline::Impl {
 public:
  explicit Impl(const PipelineOptions& options)
      : options_(options),
        model_(options),
        backend_(make_backend({.device = options.device,
                               .precision = options.precision,
                               .threads = options.threads,
                               .cpu_kernel = options.cpu_kernel})),
        parts_(model_, *backend_,
               {.encoding = encoding_of(options, *backend_),
                .load = options.load,
                .weights = options.weights,
                .weights_cache = options.weights_cache}),
        keep_(options.keep),
        limit_(options.memory_limit),
        features_(options.feature_memory),
        activations_(*backend_) {}

  ModelDefaults defaults() const {
    return model_defaults(model_.scheduler(), model_.vae().sample_size);
  }
  Request complete(const Request& request) const;
  Plan plan(const Request& request);
  Result generate(const Request& request, const ProgressFn& progress, std::stop_token stop,
                  const PreviewOptions& previews);
  std::vector<OpProfile> profile(const Request& request);
  std::size_t encode(std::span<const std::string> prompts, const ProgressFn& progress,
                     const std::stop_token& stop);
  Backend& backend() { return *backend_; }
  // Those of a pipeline with the same model that computes in f32; nothing where this one does.
  std::optional<PipelineOptions> safer_options() const;
  // Gives back what the networks and activations take.
  void release();

 private:
  Result generate_on(Backend& backend, const Request& request, const ProgressFn& progress,
                     std::stop_token stop, const PreviewOptions& previews);
  // Fits what makes previews to the decoder, unless that is done.
  void fit_previews(const std::stop_token& stop);
  // Runs the text encoder alone.
  void encode(const std::string& prompt, const std::stop_token& stop);
  // The same for both: what is reserved, and which prompts are known.
  void reserve(const Plan& plan);
  void mark_known(Drawing& drawing) const;
  // Of a complete request.
  RequestTokens tokenize(const Request& request) const;
  Drawing make_drawing(const Request& request, const RequestTokens& tokens) const;
  // The request's pictures, fitted to the drawing, in place of themselves.
  SourcePicture take_source(Request& request, const Drawing& drawing) const;
  Plan plan(const Drawing& drawing);
  std::size_t available() const;
  // Throws OutOfMemory for a plan that does not fit.
  void refuse_unfit(const Plan& plan, const Request& request, const RequestTokens& tokens);

  PipelineOptions options_;
  Model model_;
  std::unique_ptr<Backend> backend_;
  Parts parts_;
  Keep keep_;
  std::size_t limit_;        // 0: none
  std::size_t process_ = 0;  // Plan::process, once known, less kept features
  FeatureCache features_;
  Activations activations_;
  std::optional<LatentRgb> latent_rgb_;
};

Request Pipeline::Impl::complete(const Request& request) const {
  return complete_request(request, defaults());
}

RequestTokens Pipeline::Impl::tokenize(const Request& request) const {
  RequestTokens tokens{.prompt = model_.tokenize(request.prompt), .negative = {}};
  if (*request.guidance > 0) tokens.negative = model_.tokenize(request.negative_prompt);
  return tokens;
}

Drawing Pipeline::Impl::make_drawing(const Request& request, const RequestTokens& tokens) const {
  const std::int64_t multiple = model_.size_multiple();
  const std::int64_t scale = model_.vae().scale();
  Drawing drawing{
      .ids = tokens.prompt.ids,
      .negative_ids = tokens.negative.ids,
      .latent = {.channels = model_.vae().latent_channels,
                 .rows = round_up(*request.height, multiple) / scale,
                 .columns = round_up(*request.width, multiple) / scale,
                 .patch = model_.transformer().patch},
      .guidance = {.scale = static_cast<float>(*request.guidance),
                   .normalization = static_cast<float>(request.cfg_normalization),
                   .truncation = request.cfg_truncation},
      .sampler = request.sampler,
      .sigmas = {},
      .skipped_steps = skipped_steps(request),
      .latent_scale = {.scaling = model_.vae().scaling_factor, .shift = model_.vae().shift_factor},
      .source = source_of(request),
      .count = request.count,
      .pictures_per_pass = request.count,
  };
  drawing.sigmas = sigmas_of(request, model_.scheduler(), drawing.grid().tokens());
  drawing.varied_steps = varied_steps(drawing.steps(), request.seed_variety);
  mark_known(drawing);
  return drawing;
}

void Pipeline::Impl::mark_known(Drawing& drawing) const {
  for (std::int64_t prompt = 0; prompt < drawing.prompts(); ++prompt)
    drawing.known[static_cast<std::size_t>(prompt)] = features_.has(drawing.ids_of(prompt));
}

// What this pipeline may occupy at most: what is free, and what it occupies.
std::size_t Pipeline::Impl::available() const {
  const std::size_t held = backend_->memory_in_use();
  const std::size_t free = backend_->available_memory();
  const std::size_t most =
      free > std::numeric_limits<std::size_t>::max() - held ? free : free + held;
  return limit_ == 0 ? most : std::min(limit_, most);
}

Plan Pipeline::Impl::plan(const Drawing& drawing) {
  const Networks& networks =
      drawing.has_picture() ? parts_.planned_with_encoder() : parts_.planned();
  const bool on_device = backend_->memory_kind() == MemoryKind::Device;
  if (process_ == 0) process_ = backend_->memory_in_use() + (on_device ? 0 : kPagesToCome);
  const std::size_t kept = on_device ? 0 : features_.bytes();
  for (const std::size_t length : {drawing.ids.size(), drawing.negative_ids.size()})
    networks.transformer->check_size(drawing.grid(), static_cast<std::int64_t>(length));
  return make_plan(parts_, drawing,
                   {.keep = keep_, .process = process_ + kept, .available = available()});
}

Plan Pipeline::Impl::plan(const Request& request) {
  const Request full = complete(request);
  return plan(make_drawing(full, tokenize(full)));
}

void Pipeline::Impl::refuse_unfit(const Plan& plan, const Request& request,
                                  const RequestTokens& tokens) {
  if (plan.total <= plan.available) return;
  const auto fits = [&](const PictureSize& size) {
    Request smaller = request;
    smaller.width = size.width;
    smaller.height = size.height;
    const Plan other = this->plan(make_drawing(smaller, tokens));
    return other.total <= other.available;
  };
  throw Error(ErrorCode::OutOfMemory,
              refusal(plan, {.width = *request.width, .height = *request.height}, fits));
}

SourcePicture Pipeline::Impl::take_source(Request& request, const Drawing& drawing) const {
  if (!drawing.has_picture()) return {};
  const std::int64_t scale = model_.vae().scale();
  SourcePicture source =
      fit_source(request, drawing.latent.columns * scale, drawing.latent.rows * scale);
  request.init_image = {};
  request.mask = {};
  return source;
}

std::optional<PipelineOptions> Pipeline::Impl::safer_options() const {
  const bool is_card = backend_->memory_kind() == MemoryKind::Device;
  const bool is_plain = encoding_of(options_, *backend_) == Encoding::Plain;
  if (is_plain && (!is_card || options_.precision == "exact")) return std::nullopt;
  PipelineOptions safer = options_;
  safer.precision = "exact";
  safer.encoding = "auto";
  return safer;
}

void Pipeline::Impl::release() {
  for (const Stage stage : {Stage::EncodeImage, Stage::EncodePrompt, Stage::Denoise, Stage::Decode})
    parts_.release(stage);
  activations_.release();
}

void Pipeline::Impl::reserve(const Plan& plan) {
  std::size_t workspace = 0;
  for (const StagePlan& stage : plan.stages) workspace = std::max(workspace, stage.workspace);
  backend_->reserve_scratch(workspace);
  activations_.arena().reset_peak();
}

Result Pipeline::Impl::generate(const Request& request, const ProgressFn& progress,
                                std::stop_token stop, const PreviewOptions& previews) {
  if (previews.is_on()) {
    static_cast<void>(complete(request));  // what is refused costs nothing
    fit_previews(stop);
  }
  return generate_on(*backend_, request, progress, std::move(stop), previews);
}

void Pipeline::Impl::fit_previews(const std::stop_token& stop) {
  if (latent_rgb_) return;
  constexpr std::int64_t kSide = 128;
  const Request request =
      complete({.prompt = "", .width = kSide, .height = kSide, .steps = 1, .guidance = 0.0});
  const RequestTokens tokens = tokenize(request);
  Drawing drawing = make_drawing(request, tokens);
  const Plan needed = plan(drawing);
  refuse_unfit(needed, request, tokens);
  drawing.strips = {.rows = needed.strip_rows, .kept = needed.kept_maps};
  backend_->reserve_scratch(needed.of(Stage::Decode).workspace);
  if (needed.keep == Keep::None) release();
  parts_.load(Stage::Decode, needed.of(Stage::Decode).streamed, stop);
  activations_.reserve(needed.of(Stage::Decode).activations);
  {
    const Run run{.backend = *backend_, .arena = activations_.arena(), .stop = stop};
    const std::vector<float> map = fitting_map(drawing.latent, drawing.latent_scale);
    latent_rgb_.emplace(map, decoded(run, *parts_.loaded().vae, map, drawing), drawing.latent);
  }
  if (needed.keep == Keep::None) release();
}

std::vector<OpProfile> Pipeline::Impl::profile(const Request& request) {
  ProfileBackend profiler(*backend_);
  generate_on(profiler, request, {}, {}, {});
  std::vector<OpProfile> profiles;
  for (const auto& [name, total] : profiler.totals()) {
    profiles.push_back({name, total.calls, total.seconds, total.flops});
  }
  return profiles;
}

// `backend` is backend_ or forwards to it: the networks' memory is backend_'s.
Result Pipeline::Impl::generate_on(Backend& backend, const Request& request,
                                   const ProgressFn& progress, std::stop_token stop,
                                   const PreviewOptions& previews) {
  Result result;
  result.request = complete(request);
  result.precision = options_.precision;
  result.encoding = options_.encoding;
  const RequestTokens tokens = tokenize(result.request);
  result.tokens = static_cast<std::int64_t>(tokens.prompt.ids.size());
  result.tokens_dropped = tokens.prompt.dropped;
  result.negative_tokens_dropped = tokens.negative.dropped;
  Drawing drawing = make_drawing(result.request, tokens);
  const Plan needed = plan(drawing);
  refuse_unfit(needed, result.request, tokens);
  const SourcePicture source = take_source(result.request, drawing);
  reserve(needed);
  drawing.pictures_per_pass = needed.pictures_per_pass;
  drawing.strips = {.rows = needed.strip_rows, .kept = needed.kept_maps};
  drawing.encoder_strips = {.rows = needed.encoder_strip_rows, .kept = needed.encoder_kept_maps};
  // Made beside the text encoder's work, which on a GPU takes no longer.
  std::future<NoiseDraws> noise = std::async(std::launch::async, [&] {
    return NoiseDraws(drawing.latent, drawing.count, request.seed, request.rng,
                      drawing.has_picture() ? NoiseDraws::Sample::First : NoiseDraws::Sample::None);
  });
  BorrowedFeatures borrowed(features_);
  std::vector<PromptFeatures*> features;
  features.push_back(&borrowed.borrow(drawing.ids));
  // A prompt can be its own negative one.
  if (drawing.prompts() > 1)
    features.push_back(drawing.ids == drawing.negative_ids
                           ? features.front()
                           : &borrowed.borrow(drawing.negative_ids));
  Arena& arena = activations_.arena();
  const Run run{.backend = backend, .arena = arena, .stop = std::move(stop)};
  RunObserver observer({.parts = parts_,
                        .activations = activations_,
                        .plan = needed,
                        .run = run,
                        .progress = progress,
                        .request = result.request,
                        .drawing = drawing,
                        .source = source,
                        .features = features,
                        .previews = previews.is_on() ? &previews : nullptr,
                        .latent_rgb = latent_rgb_ ? &*latent_rgb_ : nullptr},
                       std::move(noise));
  explaining_shortage(needed, observer, [&] { draw(run, parts_.loaded(), drawing, observer); });
  if (needed.keep == Keep::None) parts_.release(Stage::Decode);
  const std::int64_t scale = model_.vae().scale();
  result.drawn_width = drawing.latent.columns * scale;
  result.drawn_height = drawing.latent.rows * scale;
  result.images = std::move(observer.images);
  result.timings = observer.timings;
  result.activations_used = arena.peak();
  return result;
}

// As the first stage of the smallest picture.
void Pipeline::Impl::encode(const std::string& prompt, const std::stop_token& stop) {
  const Request request =
      complete({.prompt = prompt, .width = 1, .height = 1, .steps = 1, .guidance = 0.0});
  const RequestTokens tokens = tokenize(request);
  const Drawing drawing = make_drawing(request, tokens);
  if (drawing.known[0]) return;
  const Plan needed = plan(drawing);
  refuse_unfit(needed, request, tokens);
  reserve(needed);
  BorrowedFeatures borrowed(features_);
  PromptFeatures* const features = &borrowed.borrow(drawing.ids);
  const Run run{.backend = *backend_, .arena = activations_.arena(), .stop = stop};
  const ProgressFn nobody;
  const SourcePicture none;
  RunObserver observer({.parts = parts_,
                        .activations = activations_,
                        .plan = needed,
                        .run = run,
                        .progress = nobody,
                        .request = request,
                        .drawing = drawing,
                        .source = none,
                        .features = {&features, 1}},
                       {});
  explaining_shortage(needed, observer,
                      [&] { encode_prompts(run, parts_.loaded(), drawing, observer); });
}

std::size_t Pipeline::Impl::encode(std::span<const std::string> prompts, const ProgressFn& progress,
                                   const std::stop_token& stop) {
  const auto width = static_cast<std::size_t>(model_.text_encoder().hidden);
  std::vector<std::vector<std::int32_t>> different;
  std::size_t bytes = 0;
  std::size_t count = 0;
  for (; count < prompts.size(); ++count) {
    std::vector<std::int32_t> ids = model_.tokenize(prompts[count]).ids;
    if (std::find(different.begin(), different.end(), ids) != different.end()) continue;
    bytes += ids.size() * width * sizeof(float);
    if (bytes > features_.most_bytes()) break;
    different.push_back(std::move(ids));
  }
  // Those of them that are there become the last used, so that none is dropped for another.
  for (const std::vector<std::int32_t>& ids : different) BorrowedFeatures(features_).borrow(ids);
  const auto report = [&](std::size_t step) {
    if (!progress) return;
    progress({.stage = Stage::EncodePrompt,
              .step = static_cast<std::int64_t>(step),
              .steps = static_cast<std::int64_t>(count)});
  };
  for (std::size_t i = 0; i < count; ++i) {
    report(i);
    encode(prompts[i], stop);
  }
  if (count > 0) report(count);
  return std::max<std::size_t>(count, prompts.empty() ? 0 : 1);
}

Pipeline::Pipeline(const PipelineOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Pipeline::~Pipeline() = default;
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;

Result Pipeline::generate(const Request& request, const ProgressFn& progress, std::stop_token stop,
                          const PreviewOptions& previews) {
  std::string problem;
  std::optional<PipelineOptions> options;
  try {
    return impl_->generate(request, progress, stop, previews);
  } catch (const Error& error) {
    options = impl_->safer_options();
    if (error.code() != ErrorCode::Numerics || !options) throw;
    problem = error.what();
    problem.resize(std::min(problem.find("; "), problem.size()));  // what follows is for a failure
  }
  impl_->release();
  try {
    Result result = Impl(*options).generate(request, progress, std::move(stop), previews);
    result.repeated = "drawn again in precision exact: " + problem;
    return result;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Numerics) throw;
    throw Error(ErrorCode::Numerics,
                std::string(error.what()) + " (in precision exact; before that " + problem + ")");
  }
}
std::vector<OpProfile> Pipeline::profile(const Request& request) {
  return impl_->profile(request);
}
std::size_t Pipeline::encode(std::span<const std::string> prompts, const ProgressFn& progress,
                             const std::stop_token& stop) {
  return impl_->encode(prompts, progress, stop);
}
Request Pipeline::complete(const Request& request) const {
  return impl_->complete(request);
}
std::vector<std::string> Pipeline::notes(const Request& request) const {
  return request_notes(impl_->complete(request), impl_->defaults());
}
Plan Pipeline::plan(const Request& request) const {
  return impl_->plan(request);
}
std::string Pipeline::device_description() const {
  return impl_->backend().description();
}
std::size_t Pipeline::memory_in_use() const {
  return impl_->backend().memory_in_use();
}
Ceilings Pipeline::measure_ceilings() const {
  const Rates rates = impl_->backend().measure_rates();
  return {.flops = rates.flops,
          .encoded = rates.encoded,
          .bandwidth = rates.bandwidth,
          .transfer = rates.transfer};
}

}  // namespace zimage
