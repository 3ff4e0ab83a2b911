// An observer that books counters on stages.
#include "pipeline/planning.h"

#include <algorithm>
#include <optional>

namespace zimage {
namespace {

class PlanObserver final : public DrawingObserver {
 public:
  PlanObserver(PlanBackend& backend, Arena& arena) : backend_(backend), arena_(arena) {}

  const std::array<StagePlan, 3>& stages() const { return stages_; }

  void begin(Stage stage) override {
    finish();
    stage_ = stage;
  }
  std::span<const float> noise(std::int64_t, std::int64_t) override { return {}; }
  void stepped(std::int64_t, const Tensor&, const Tensor&) override {}
  void encoded(const Tensor&) override {}
  void denoised(std::span<const float>) override {}
  void decoded(const Tensor&, const PictureTile&) override {}

  // Books what has been counted since the last call on the stage that ends.
  void finish() {
    if (stage_) {
      StagePlan& stage = stages_[static_cast<std::size_t>(*stage_)];
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
  std::array<StagePlan, 3> stages_{StagePlan{.stage = Stage::EncodePrompt},
                                   StagePlan{.stage = Stage::Denoise},
                                   StagePlan{.stage = Stage::Decode}};
  std::optional<Stage> stage_;
};

// Bytes in host memory beside the networks: what crosses between stages, and the pictures.
void add_host(std::array<StagePlan, 3>& stages, const Networks& networks, const Drawing& drawing) {
  constexpr std::size_t kFloat = sizeof(float);
  const auto latents = static_cast<std::size_t>(drawing.latent.elements());
  const auto scale = static_cast<std::size_t>(networks.vae->config().scale());
  const auto hidden = static_cast<std::size_t>(networks.text_encoder->config().hidden);
  const auto count = static_cast<std::size_t>(drawing.count);
  const std::size_t pixels =
      static_cast<std::size_t>(drawing.latent.rows * drawing.latent.columns) * scale * scale;
  stages[0].host = std::max(drawing.ids.size(), drawing.negative_ids.size()) * hidden * kFloat;
  stages[1].host = 2 * count * latents * kFloat;  // the noise, and what comes of it
  // Of the next draw, before it is in the order of tokens.
  if (adds_noise(drawing.sampler)) stages[1].host += count * latents * kFloat;
  if (drawing.guidance.normalization > 0) stages[1].host += latents * kFloat;  // for its norm
  // That, one picture's map, and the pictures, 8 bits.
  stages[2].host = (count + 1) * latents * kFloat + count * pixels * 3;
  if (drawing.tile > 0) {  // the blended picture and one tile
    const std::size_t side = static_cast<std::size_t>(drawing.tile) * scale;
    stages[2].host += (pixels + side * side) * 3 * kFloat;
  }
}

}  // namespace

std::size_t activation_bytes(const Plan& plan, Stage stage) {
  const std::size_t latents = std::max(plan.stages[0].activations, plan.stages[1].activations);
  const std::size_t decode = plan.stages[2].activations;
  if (plan.keep == Keep::All) return std::max(latents, decode);
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
    if (alone) resident = plan.process;
    resident += stage.weights;
    if (memory == MemoryKind::Device) {
      stage.total = resident + activation_bytes(plan, stage.stage) + most_workspace;
    } else {
      // Activations count as far as stages up to this one have written them.
      if (alone && stage.stage == Stage::Decode) activations = 0;
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

std::array<StagePlan, 3> plan_stages(PlanBackend& backend, const Networks& networks,
                                     const Drawing& drawing) {
  Arena arena;
  const Run run{backend, arena};
  PlanObserver observer(backend, arena);
  draw(run, networks, drawing, observer);
  observer.finish();
  std::array<StagePlan, 3> stages = observer.stages();
  add_host(stages, networks, drawing);
  return stages;
}

StagePlan plan_decode(PlanBackend& backend, const Networks& networks, const Drawing& drawing) {
  Arena arena;
  const Run run{backend, arena};
  PlanObserver observer(backend, arena);
  const std::vector<float> tokens(
      static_cast<std::size_t>(drawing.count * drawing.latent.elements()));
  observer.begin(Stage::Decode);
  decode(run, *networks.vae, drawing, tokens, observer);
  observer.finish();
  std::array<StagePlan, 3> stages = observer.stages();
  add_host(stages, networks, drawing);
  return stages[2];
}

}  // namespace zimage
