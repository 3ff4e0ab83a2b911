// Requests to drawings, drawings to pictures: defaults, limits, loading and checks around draw().
#include "pipeline/pipeline.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <limits>
#include <string>
#include <utility>

#include "backend/profile/profile_backend.h"
#include "image/pixels.h"
#include "pipeline/drawing.h"
#include "pipeline/make_backend.h"
#include "pipeline/planning.h"

namespace zimage {
namespace {

using Clock = std::chrono::steady_clock;

// Forwards that the distilled model was made for.
constexpr std::int64_t kDefaultSteps = 8;
// Beyond any model's positions; keeps arithmetic on sizes far from overflow.
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 20;
constexpr std::int64_t kMaxSteps = 1000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

std::int64_t check_range(const char* what, std::int64_t value, std::int64_t highest) {
  if (value >= 1 && value <= highest) return value;
  throw Error(ErrorCode::InvalidArgument, std::string(what) + " is " + std::to_string(value) +
                                              ", expected 1 to " + std::to_string(highest));
}

Encoding encoding_of(const std::string& name) {
  if (name == "auto") return Encoding::Plain;
  if (name == "fp8") return Encoding::Fp8;
  throw Error(ErrorCode::InvalidArgument, "encoding is \"" + name + "\", expected auto or fp8");
}

std::string gibibytes(std::size_t bytes) {
  const double value = static_cast<double>(bytes) / (1024.0 * 1024.0 * 1024.0);
  const std::string text = std::to_string(value);
  return text.substr(0, text.find('.') + 3) + " GiB";
}

void expect_finite(std::span<const float> values, Stage stage) {
  if (std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
    return;
  throw Error(ErrorCode::Numerics,
              std::string(name_of(stage)) +
                  ": NaN or infinity in its result; the picture is not written. The weights are "
                  "damaged, or hold NaN or infinity");
}

// A tensor of the activation type as f32 in host memory.
std::vector<float> to_host(const Run& run, const Tensor& x) {
  Arena::Frame frame(run.arena);
  std::vector<float> values(static_cast<std::size_t>(x.elements()));
  Tensor widened = x;
  if (x.dtype != DType::F32) {
    widened = frame.make(DType::F32, x.shape);
    run.backend.cast(widened, x);
  }
  run.backend.download(values.data(), widened);
  return values;
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
        backend_(make_backend(options.device, options.threads)),
        plan_backend_(*backend_),
        encoding_(encoding_of(options.encoding)) {}

  Request complete(const Request& request) const;
  Plan plan(const Request& request);
  Result generate(const Request& request, const ProgressFn& progress, std::stop_token stop);
  std::vector<OpProfile> profile(const Request& request);
  Backend& backend() { return *backend_; }

 private:
  class RunObserver;

  Result generate_on(Backend& backend, const Request& request, const ProgressFn& progress,
                     std::stop_token stop);
  Drawing make_drawing(const Request& request, const PromptTokens& tokens) const;
  Plan plan(const Drawing& drawing);
  void plan_networks();
  std::unique_ptr<ZImageTransformer> make_transformer(TensorSource& tensors,
                                                      Backend& backend) const;
  void load(Stage stage);
  void reserve(const Plan& plan);
  std::unique_ptr<PartWeights>& weights_of(Stage stage) {
    return weights_[static_cast<std::size_t>(stage)];
  }

  Model model_;
  std::unique_ptr<Backend> backend_;
  PlanBackend plan_backend_;
  Encoding encoding_;  // of the transformer's matrices
  std::array<std::unique_ptr<PartWeights>, 3>
      weights_;       // in the order of Stage; kept while networks view them
  Networks planned_;  // on plan_backend_
  std::array<std::size_t, 3> weight_bytes_{};  // of each planned network
  Networks networks_;                          // on backend_
  Buffer activations_;
};

// Loads networks as their stages begin, takes times, checks results and reports progress.
class Pipeline::Impl::RunObserver final : public DrawingObserver {
 public:
  // `noise` is waited for when the denoising begins, and becomes the drawing's.
  RunObserver(Impl& impl, const Run& run, const ProgressFn& progress, Drawing& drawing,
              std::future<std::vector<float>> noise)
      : impl_(impl), run_(run), progress_(progress), drawing_(drawing), noise_(std::move(noise)) {}

  Timings timings;
  std::vector<float> pixels;

  void begin(Stage stage) override {
    stage_ = stage;
    report(0);
    const Clock::time_point start = Clock::now();
    impl_.load(stage);
    timings.load += seconds_since(start);
    start_ = Clock::now();
    if (stage == Stage::Denoise) drawing_.noise = noise_.get();
  }

  void encoded(const Tensor& features) override {
    expect_finite(to_host(run_, features), stage_);
    timings.encode_prompt = seconds_since(start_);
    report(1);
  }

  void stepped(std::int64_t step, const Tensor& /*velocity*/, const Tensor& /*latents*/) override {
    // Waiting keeps progress and cancellation in step with the device; without either nothing
    // waits.
    if (progress_ || run_.stop.stop_possible()) run_.backend.synchronize();
    report(step);
  }

  void denoised(std::span<const float> latents) override {
    timings.denoise = seconds_since(start_);
    expect_finite(latents, stage_);
  }

  void decoded(const Tensor& x) override {
    pixels = to_host(run_, x);
    timings.decode = seconds_since(start_);
    expect_finite(pixels, stage_);
    report(1);
  }

 private:
  void report(std::int64_t step) const {
    if (!progress_) return;
    progress_(
        {.stage = stage_, .step = step, .steps = stage_ == Stage::Denoise ? drawing_.steps() : 1});
  }

  Impl& impl_;
  const Run& run_;
  const ProgressFn& progress_;
  Drawing& drawing_;
  std::future<std::vector<float>> noise_;
  Stage stage_ = Stage::EncodePrompt;
  Clock::time_point start_;
};

Request Pipeline::Impl::complete(const Request& request) const {
  Request full = request;
  full.width = check_range("width", request.width.value_or(model_.vae().sample_size), kMaxPixels);
  full.height =
      check_range("height", request.height.value_or(model_.vae().sample_size), kMaxPixels);
  full.steps = check_range("steps", request.steps.value_or(kDefaultSteps), kMaxSteps);
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
      .noise = {},
      .latent_scaling = model_.vae().scaling_factor,
      .latent_shift = model_.vae().shift_factor,
  };
  drawing.sigmas = flow_match_sigmas(*request.steps, model_.scheduler(), drawing.grid().tokens());
  return drawing;
}

// Only the transformer's matrices take the encoding: the other two networks are a small part of the
// time.
std::unique_ptr<ZImageTransformer> Pipeline::Impl::make_transformer(TensorSource& tensors,
                                                                    Backend& backend) const {
  backend.set_encoding(encoding_);
  auto transformer = std::make_unique<ZImageTransformer>(tensors, model_.transformer(), backend);
  backend.set_encoding(Encoding::Plain);
  return transformer;
}

void Pipeline::Impl::plan_networks() {
  if (planned_.vae) return;
  const auto measured = [&](Stage stage, const char* name, auto make) {
    std::unique_ptr<PartWeights>& weights = weights_of(stage);
    weights = model_.open(name);
    const std::size_t before = plan_backend_.allocated();
    auto network = make(weights->tensors());
    weights->throw_if_unused();
    weight_bytes_[static_cast<std::size_t>(stage)] = plan_backend_.allocated() - before;
    return network;
  };
  planned_.text_encoder = measured(Stage::EncodePrompt, "text_encoder", [&](TensorSource& tensors) {
    return std::make_unique<Qwen3Encoder>(tensors, model_.text_encoder(), plan_backend_);
  });
  planned_.transformer = measured(Stage::Denoise, "transformer", [&](TensorSource& tensors) {
    return make_transformer(tensors, plan_backend_);
  });
  planned_.vae = measured(Stage::Decode, "vae", [&](TensorSource& tensors) {
    return std::make_unique<VaeDecoder>(tensors, model_.vae(), plan_backend_);
  });
}

Plan Pipeline::Impl::plan(const Drawing& drawing) {
  plan_networks();
  planned_.transformer->check_size(drawing.grid(), static_cast<std::int64_t>(drawing.ids.size()));
  Plan plan;
  plan.stages = plan_stages(plan_backend_, planned_, drawing);
  std::size_t activations = 0;
  std::size_t scratch = 0;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    StagePlan& part = plan.stages[i];
    part.weights = weight_bytes_[i];
    plan.total += part.weights;
    activations = std::max(activations, part.activations);
    scratch = std::max(scratch, part.scratch);
  }
  plan.total += activations + scratch;
  plan.available = backend_->available_memory();
  return plan;
}

Plan Pipeline::Impl::plan(const Request& request) {
  return plan(make_drawing(complete(request), model_.tokenize(request.prompt)));
}

void Pipeline::Impl::load(Stage stage) {
  TensorSource& tensors = weights_of(stage)->tensors();
  Backend& be = *backend_;
  if (stage == Stage::EncodePrompt && !networks_.text_encoder) {
    networks_.text_encoder = std::make_unique<Qwen3Encoder>(tensors, model_.text_encoder(), be);
  } else if (stage == Stage::Denoise && !networks_.transformer) {
    networks_.transformer = make_transformer(tensors, be);
  } else if (stage == Stage::Decode && !networks_.vae) {
    networks_.vae = std::make_unique<VaeDecoder>(tensors, model_.vae(), be);
  } else {
    return;
  }
  be.synchronize();
}

// Refuses what cannot fit, then makes room for the run. Networks that are loaded need no more
// memory.
void Pipeline::Impl::reserve(const Plan& plan) {
  std::size_t activations = 0;
  std::size_t scratch = 0;
  std::size_t loaded = activations_.bytes();
  for (const StagePlan& stage : plan.stages) {
    activations = std::max(activations, stage.activations);
    scratch = std::max(scratch, stage.scratch);
    const bool is_loaded = stage.stage == Stage::EncodePrompt ? networks_.text_encoder != nullptr
                           : stage.stage == Stage::Denoise    ? networks_.transformer != nullptr
                                                              : networks_.vae != nullptr;
    if (is_loaded) loaded += stage.weights;
  }
  if (plan.total > plan.available && plan.total - plan.available > loaded) {
    throw Error(ErrorCode::OutOfMemory, "the request needs " + gibibytes(plan.total) + " (" +
                                            gibibytes(activations) + " of activations), " +
                                            gibibytes(plan.available + loaded) +
                                            " are available; ask for a smaller picture");
  }
  if (activations_.bytes() < activations) {
    activations_ = Buffer();
    activations_ = backend_->allocate(activations);
  }
  backend_->reserve_scratch(scratch);
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
  reserve(needed);
  // Made beside the text encoder's work, which on a GPU takes no longer.
  std::future<std::vector<float>> noise =
      std::async(std::launch::async, noise_tokens, drawing.latent, request.seed, request.rng);
  Arena arena(activations_.data(), activations_.bytes());
  const Run run{.backend = backend, .arena = arena, .stop = std::move(stop)};
  RunObserver observer(*this, run, progress, drawing, std::move(noise));
  draw(run, networks_, drawing, observer);
  const std::int64_t scale = model_.vae().scale();
  const Image drawn =
      to_image(observer.pixels, drawing.latent.columns * scale, drawing.latent.rows * scale);
  result.drawn_width = drawn.width;
  result.drawn_height = drawn.height;
  result.image = crop(drawn, *result.request.width, *result.request.height);
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
Ceilings Pipeline::measure_ceilings() const {
  const Rates rates = impl_->backend().measure_rates();
  return {.flops = rates.flops, .bandwidth = rates.bandwidth};
}

}  // namespace zimage
