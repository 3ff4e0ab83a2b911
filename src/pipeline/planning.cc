// An observer that books counters on stages.
#include "pipeline/planning.h"

#include <algorithm>
#include <optional>

namespace zimage {
namespace {

class PlanObserver final : public DrawingObserver {
 public:
  PlanObserver(PlanBackend& backend, Arena& arena) : backend_(backend), arena_(arena) {}

  const std::array<StagePlan, kStageCount>& stages() const { return stages_; }

  void begin(Stage stage) override {
    finish();
    stage_ = stage;
  }
  std::span<const float> pixels(std::int64_t, std::int64_t) override { return {}; }
  std::span<const float> latents(std::int64_t, std::int64_t, float) override { return {}; }
  std::span<const float> mask() override { return {}; }
  std::span<const float> noise(std::int64_t, std::int64_t) override { return {}; }
  std::span<const float> features(std::int64_t) override { return {}; }
  std::span<const float> varied(std::int64_t) override { return {}; }
  void picture_encoded(std::span<const float>) override {}
  void stepped(std::int64_t, const Tensor&, const Tensor&) override {}
  void encoded(std::int64_t, const Tensor&) override {}
  void denoised(std::span<const float>) override {}
  void decoded(const Tensor&, const PictureRows&) override {}

  // Books what has been counted since the last call on the stage that ends.
  void finish() {
    if (stage_) {
      StagePlan& stage = stages_[static_cast<std::size_t>(*stage_)];
      stage.runs = true;
      stage.activations = arena_.peak();
      stage.workspace = backend_.cost().scratch;
      stage.flops = backend_.cost().flops();
    }
    backend_.reset_cost();
    arena_.reset_peak();
  }

 private:
  PlanBackend& backend_;
  Arena& arena_;
  std::array<StagePlan, kStageCount> stages_{StagePlan{.stage = Stage::EncodeImage, .runs = false},
                                             StagePlan{.stage = Stage::EncodePrompt, .runs = false},
                                             StagePlan{.stage = Stage::Denoise, .runs = false},
                                             StagePlan{.stage = Stage::Decode, .runs = false}};
  std::optional<Stage> stage_;
};

// What a picture to begin with takes in host memory, in all stages and in some.
struct PictureBytes {
  std::size_t fitted = 0;   // with its mask
  std::size_t encoder = 0;  // what the encoder reads and leaves
  std::size_t latents = 0;  // of the denoising: the picture's, the noise, and what is mixed of them
};

PictureBytes picture_bytes(const Networks& networks, const Drawing& drawing, std::size_t pixels) {
  if (!drawing.has_picture()) return {};
  constexpr std::size_t kFloat = sizeof(float);
  const auto latents = static_cast<std::size_t>(drawing.latent.elements());
  const auto pass = static_cast<std::size_t>(drawing.pictures_per_pass);
  std::size_t read = pixels;
  if (const VaeStrips& strips = drawing.encoder_strips; strips.rows > 0) {
    const VaeEncoder& encoder = *networks.vae_encoder;
    read = static_cast<std::size_t>(encoder.rows_at_once(strips, drawing.latent.rows) *
                                    encoder.config().scale() * drawing.latent.columns);
  }
  PictureBytes bytes;
  bytes.fitted = pixels * (drawing.has_mask() ? 4 : 3);
  // With the moments; the noise is there already.
  bytes.encoder =
      read * 3 * kFloat + (2 + static_cast<std::size_t>(drawing.count)) * latents * kFloat;
  bytes.latents = (1 + static_cast<std::size_t>(drawing.count) + pass) * latents * kFloat;
  if (drawing.has_mask()) bytes.latents += latents * kFloat;
  return bytes;
}

// Bytes in host memory beside the networks: what crosses between stages, and the pictures.
void add_host(std::array<StagePlan, kStageCount>& stages, const Networks& networks,
              const Drawing& drawing) {
  constexpr std::size_t kFloat = sizeof(float);
  const auto at = [&](Stage stage) -> std::size_t& {
    return stages[static_cast<std::size_t>(stage)].host;
  };
  const auto latents = static_cast<std::size_t>(drawing.latent.elements());
  const auto scale = static_cast<std::size_t>(networks.vae->config().scale());
  const auto hidden = static_cast<std::size_t>(networks.text_encoder->config().hidden);
  const auto count = static_cast<std::size_t>(drawing.count);
  const std::size_t pixels =
      static_cast<std::size_t>(drawing.latent.rows * drawing.latent.columns) * scale * scale;
  // Features are kept from their stage on; those that are known are the pipeline's.
  std::size_t features = 0;
  for (std::int64_t prompt = 0; prompt < drawing.prompts(); ++prompt) {
    if (!drawing.known[static_cast<std::size_t>(prompt)])
      features += drawing.ids_of(prompt).size() * hidden * kFloat;
  }
  at(Stage::EncodePrompt) = features;
  // The noise, and what comes of it.
  at(Stage::Denoise) = features + 2 * count * latents * kFloat;
  if (drawing.varied_steps > 0) at(Stage::Denoise) += drawing.ids.size() * hidden * kFloat;
  // Of the next draw, before it is in the order of tokens.
  if (adds_noise(drawing.sampler)) at(Stage::Denoise) += count * latents * kFloat;
  if (drawing.guidance.normalization > 0) at(Stage::Denoise) += latents * kFloat;  // for its norm
  // That, one picture's map, and the pictures, 8 bits.
  at(Stage::Decode) = features + (count + 1) * latents * kFloat + count * pixels * 3;
  const PictureBytes picture = picture_bytes(networks, drawing, pixels);
  at(Stage::EncodeImage) = picture.encoder;
  at(Stage::Denoise) += picture.latents;
  for (StagePlan& stage : stages) stage.host += picture.fitted;
}

}  // namespace

std::size_t activation_bytes(const Plan& plan, Stage stage) {
  const std::size_t encode = plan.of(Stage::EncodeImage).activations;
  const std::size_t latents =
      std::max(plan.of(Stage::EncodePrompt).activations, plan.of(Stage::Denoise).activations);
  const std::size_t decode = plan.of(Stage::Decode).activations;
  if (plan.keep == Keep::All) return std::max({encode, latents, decode});
  if (stage == Stage::EncodeImage) return encode;
  return stage == Stage::Decode ? decode : latents;
}

void add_totals(Plan& plan, MemoryKind memory) {
  std::size_t most_workspace = 0;
  for (const StagePlan& stage : plan.stages)
    most_workspace = std::max(most_workspace, stage.workspace);
  std::size_t resident = plan.process;
  std::size_t activations = 0;
  std::size_t workspace = 0;
  plan.total = 0;
  for (StagePlan& stage : plan.stages) {
    const bool alone = plan.keep == Keep::None;
    if (!stage.runs) {
      if (!alone) resident += stage.weights;
      continue;
    }
    if (alone) resident = plan.process;
    resident += stage.weights;
    if (memory == MemoryKind::Device) {
      stage.total = resident + activation_bytes(plan, stage.stage) + most_workspace;
    } else {
      // Activations count as far as stages up to this one have written them.
      if (alone && stage.stage != Stage::Denoise) activations = 0;
      const std::size_t before = activations + workspace;
      activations = std::max(activations, stage.activations);
      workspace = std::max(workspace, stage.workspace);
      const std::size_t running =
          activations + workspace + stage.host + (stage.streamed > 0 ? stage.loading : 0);
      stage.total = resident + std::max(before + stage.loading, running);
    }
    plan.total = std::max(plan.total, stage.total);
  }
}

std::array<StagePlan, kStageCount> plan_stages(PlanBackend& backend, const Networks& networks,
                                               const Drawing& drawing) {
  Arena arena;
  const Run run{backend, arena};
  PlanObserver observer(backend, arena);
  draw(run, networks, drawing, observer);
  observer.finish();
  std::array<StagePlan, kStageCount> stages = observer.stages();
  add_host(stages, networks, drawing);
  return stages;
}

StagePlan plan_picture(PlanBackend& backend, const Networks& networks, const Drawing& drawing,
                       Stage stage) {
  Arena arena;
  const Run run{backend, arena};
  PlanObserver observer(backend, arena);
  observer.begin(stage);
  if (stage == Stage::EncodeImage) {
    encode_picture(run, *networks.vae_encoder, drawing, observer);
  } else {
    decode(run, *networks.vae, drawing, {}, observer);
  }
  observer.finish();
  std::array<StagePlan, kStageCount> stages = observer.stages();
  add_host(stages, networks, drawing);
  return stages[static_cast<std::size_t>(stage)];
}

}  // namespace zimage
