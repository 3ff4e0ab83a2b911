// An observer that books counters on stages.
#include "pipeline/planning.h"

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
  void stepped(std::int64_t, const Tensor&, const Tensor&) override {}
  void encoded(const Tensor&) override {}
  void denoised(std::span<const float>) override {}
  void decoded(const Tensor&) override { finish(); }

 private:
  // Books what has been counted since the last call on the stage that ends.
  void finish() {
    if (stage_) {
      StagePlan& stage = stages_[static_cast<std::size_t>(*stage_)];
      stage.activations = arena_.peak();
      stage.scratch = backend_.cost().scratch;
      stage.flops = backend_.cost().flops();
    }
    backend_.reset_cost();
    arena_.reset_peak();
  }

  PlanBackend& backend_;
  Arena& arena_;
  std::array<StagePlan, 3> stages_{StagePlan{.stage = Stage::EncodePrompt},
                                   StagePlan{.stage = Stage::Denoise},
                                   StagePlan{.stage = Stage::Decode}};
  std::optional<Stage> stage_;
};

}  // namespace

std::array<StagePlan, 3> plan_stages(PlanBackend& backend, const Networks& networks,
                                     const Drawing& drawing) {
  Arena arena;
  const Run run{backend, arena};
  PlanObserver observer(backend, arena);
  draw(run, networks, drawing, observer);
  return observer.stages();
}

}  // namespace zimage
