// Requests to drawings, drawings to pictures: defaults, limits, loading and checks around draw().
#include "pipeline/pipeline.h"

#include <algorithm>
#include <future>
#include <limits>
#include <string>
#include <utility>

#include "backend/profile/profile_backend.h"
#include "image/pixels.h"
#include "pipeline/make_backend.h"
#include "pipeline/parts.h"
#include "pipeline/residency.h"
#include "pipeline/run_observer.h"

namespace zimage {
namespace {

// Forwards that the distilled model was made for.
constexpr std::int64_t kDefaultSteps = 8;
// Beyond any model's positions; keeps arithmetic on sizes far from overflow.
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 20;
constexpr std::int64_t kMaxSteps = 1000;

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

std::int64_t check_range(const char* what, std::int64_t value, std::int64_t highest) {
  if (value >= 1 && value <= highest) return value;
  throw Error(ErrorCode::InvalidArgument, std::string(what) + " is " + std::to_string(value) +
                                              ", expected 1 to " + std::to_string(highest));
}

Encoding encoding_of(const PipelineOptions& options, const Backend& backend) {
  if (options.encoding == "fp8") return Encoding::Fp8;
  if (options.encoding != "auto") {
    throw Error(ErrorCode::InvalidArgument,
                "encoding is \"" + options.encoding + "\", expected auto or fp8");
  }
  // A card's own type is bf16 already.
  if (backend.memory_kind() == MemoryKind::Device) return Encoding::Plain;
  if (options.precision == "bf16") return Encoding::Bf16;
  return options.precision == "fast" ? Encoding::Fast : Encoding::Plain;
}

}  // namespace

std::string_view version() {
  return ZIMAGE_VERSION;
}

std::string_view name_of(Stage stage) {
  switch (stage) {
    case Stage::EncodePrompt: return "text encoder";
    case Stage::Denoise: return "denoise";
    case Stage::Decode: return "decode";
  }
  return "?";
}

class Pipeline::Impl {
 public:
  explicit Impl(const PipelineOptions& options)
      : model_(options),
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
        activations_(*backend_) {}

  Request complete(const Request& request) const;
  Plan plan(const Request& request);
  Result generate(const Request& request, const ProgressFn& progress, std::stop_token stop);
  std::vector<OpProfile> profile(const Request& request);
  Backend& backend() { return *backend_; }

 private:
  Result generate_on(Backend& backend, const Request& request, const ProgressFn& progress,
                     std::stop_token stop);
  Drawing make_drawing(const Request& request, const PromptTokens& tokens) const;
  Plan plan(const Drawing& drawing);
  std::size_t available() const;
  // Throws OutOfMemory for a plan that does not fit.
  void refuse_unfit(const Plan& plan, const Request& request, const PromptTokens& tokens);

  Model model_;
  std::unique_ptr<Backend> backend_;
  Parts parts_;
  Keep keep_;
  std::size_t limit_;        // 0: none
  std::size_t process_ = 0;  // Plan::process, once known
  Activations activations_;
};

Request Pipeline::Impl::complete(const Request& request) const {
  Request full = request;
  full.width = check_range("width", request.width.value_or(model_.vae().sample_size), kMaxPixels);
  full.height =
      check_range("height", request.height.value_or(model_.vae().sample_size), kMaxPixels);
  full.steps = check_range("steps", request.steps.value_or(kDefaultSteps), kMaxSteps);
  full.count = check_range("count", request.count, kMaxCount);
  return full;
}

Drawing Pipeline::Impl::make_drawing(const Request& request, const PromptTokens& tokens) const {
  const std::int64_t multiple = model_.size_multiple();
  const std::int64_t scale = model_.vae().scale();
  Drawing drawing{
      .ids = tokens.ids,
      .latent = {.channels = model_.vae().latent_channels,
                 .rows = round_up(*request.height, multiple) / scale,
                 .columns = round_up(*request.width, multiple) / scale,
                 .patch = model_.transformer().patch},
      .sigmas = {},
      .latent_scaling = model_.vae().scaling_factor,
      .latent_shift = model_.vae().shift_factor,
      .count = request.count,
      .pictures_per_pass = request.count,
  };
  drawing.sigmas = flow_match_sigmas(*request.steps, model_.scheduler(), drawing.grid().tokens());
  return drawing;
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
  const Networks& networks = parts_.planned();
  if (process_ == 0) process_ = backend_->memory_in_use();
  networks.transformer->check_size(drawing.grid(), static_cast<std::int64_t>(drawing.ids.size()));
  return make_plan(parts_, drawing, {.keep = keep_, .process = process_, .available = available()});
}

Plan Pipeline::Impl::plan(const Request& request) {
  return plan(make_drawing(complete(request), model_.tokenize(request.prompt)));
}

void Pipeline::Impl::refuse_unfit(const Plan& plan, const Request& request,
                                  const PromptTokens& tokens) {
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

Result Pipeline::Impl::generate(const Request& request, const ProgressFn& progress,
                                std::stop_token stop) {
  return generate_on(*backend_, request, progress, std::move(stop));
}

std::vector<OpProfile> Pipeline::Impl::profile(const Request& request) {
  ProfileBackend profiler(*backend_);
  generate_on(profiler, request, {}, {});
  std::vector<OpProfile> profiles;
  for (const auto& [name, total] : profiler.totals()) {
    profiles.push_back({name, total.calls, total.seconds, total.flops});
  }
  return profiles;
}

// `backend` is backend_ or forwards to it: the networks' memory is backend_'s.
Result Pipeline::Impl::generate_on(Backend& backend, const Request& request,
                                   const ProgressFn& progress, std::stop_token stop) {
  Result result;
  result.request = complete(request);
  const PromptTokens tokens = model_.tokenize(request.prompt);
  result.tokens = static_cast<std::int64_t>(tokens.ids.size());
  result.tokens_dropped = tokens.dropped;
  Drawing drawing = make_drawing(result.request, tokens);
  const Plan needed = plan(drawing);
  refuse_unfit(needed, result.request, tokens);
  std::size_t workspace = 0;
  for (const StagePlan& stage : needed.stages) workspace = std::max(workspace, stage.workspace);
  backend_->reserve_scratch(workspace);
  drawing.pictures_per_pass = needed.pictures_per_pass;
  drawing.tile = needed.tile;
  // Made beside the text encoder's work, which on a GPU takes no longer.
  std::future<std::vector<float>> noise = std::async(
      std::launch::async, noise_tokens, drawing.latent, drawing.count, request.seed, request.rng);
  Arena& arena = activations_.arena();
  arena.reset_peak();
  const Run run{.backend = backend, .arena = arena, .stop = std::move(stop)};
  RunObserver observer({.parts = parts_,
                        .activations = activations_,
                        .plan = needed,
                        .run = run,
                        .progress = progress,
                        .request = result.request,
                        .drawing = drawing},
                       std::move(noise));
  try {
    draw(run, parts_.loaded(), drawing, observer);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::OutOfMemory) throw;
    throw Error(ErrorCode::OutOfMemory, shortage(needed, observer.stage(), error.what()));
  }
  if (needed.keep == Keep::None) parts_.release(Stage::Decode);
  const std::int64_t scale = model_.vae().scale();
  result.drawn_width = drawing.latent.columns * scale;
  result.drawn_height = drawing.latent.rows * scale;
  result.images = std::move(observer.images);
  result.timings = observer.timings;
  result.activations_used = arena.peak();
  return result;
}

Pipeline::Pipeline(const PipelineOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Pipeline::~Pipeline() = default;
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;

Result Pipeline::generate(const Request& request, const ProgressFn& progress,
                          std::stop_token stop) {
  return impl_->generate(request, progress, std::move(stop));
}
std::vector<OpProfile> Pipeline::profile(const Request& request) {
  return impl_->profile(request);
}
Request Pipeline::complete(const Request& request) const {
  return impl_->complete(request);
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
