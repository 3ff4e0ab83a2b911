// Plans, tried from the fastest to the most saving.
#include "pipeline/residency.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/bytes_text.h"
#include "pipeline/planning.h"

namespace zimage {
namespace {

constexpr std::array<Stage, 2> kLatentStages = {Stage::EncodePrompt, Stage::Denoise};
// Sizes that are suggested are multiples of this.
constexpr std::int64_t kSizeStep = 16;

void add_weights(StagePlan& stage, const Parts& parts) {
  const PartSize& size = parts.size(stage.stage);
  // What is loaded and has nothing to do stays as well, where everything does.
  if (stage.runs || parts.is_loaded(stage.stage)) stage.weights = size.weights;
  if (!stage.runs) return;
  stage.loading = size.loading;
  stage.layers = static_cast<std::int64_t>(size.layers.size());
}

// Streams as few blocks as make the stage fit, or all.
void stream_layers(Plan& plan, StagePlan& stage, const PartSize& size, MemoryKind memory) {
  stage.loading = size.streaming;
  // As many streamed blocks as there are slots save nothing.
  for (std::int64_t streamed = size.slots + 1; streamed <= stage.layers; ++streamed) {
    const std::int64_t resident = stage.layers - streamed;
    stage.streamed = streamed;
    stage.weights = size.weights_with(resident);
    if (memory == MemoryKind::Device) stage.copies = size.streamed_with(resident);
    add_totals(plan, memory);
    if (stage.total <= plan.available) return;
  }
}

void plan_again(Plan& plan, Parts& parts, const Drawing& drawing, Stage stage) {
  StagePlan& planned = plan.of(stage);
  planned = plan_picture(parts.planner(), parts.planned(), drawing, stage);
  add_weights(planned, parts);
  add_totals(plan, parts.planner().memory_kind());
}

// Whether `a` is to be taken rather than `b`: it fits and computes less, or nothing fits and it
// needs less.
bool is_better(const StagePlan& a, const StagePlan& b, std::size_t available) {
  const bool fits = a.total <= available;
  if (fits != (b.total <= available)) return fits;
  return fits ? a.flops < b.flops : a.total < b.total;
}

// Decodes, or encodes, in the best strips of all heights, with any number of maps kept.
void cut_strips(Plan& plan, Parts& parts, Drawing drawing, Stage stage) {
  const bool encodes = stage == Stage::EncodeImage;
  const Networks& networks = parts.planned();
  const std::int64_t most = encodes ? networks.vae_encoder->most_kept() : networks.vae->most_kept();
  Plan best = plan;
  for (std::int64_t kept = most; kept >= 0; --kept) {
    for (std::int64_t rows = (drawing.latent.rows + 1) / 2; rows > 0; rows /= 2) {
      (encodes ? drawing.encoder_strips : drawing.strips) = {.rows = rows, .kept = kept};
      (encodes ? plan.encoder_strip_rows : plan.strip_rows) = rows;
      (encodes ? plan.encoder_kept_maps : plan.kept_maps) = kept;
      plan_again(plan, parts, drawing, stage);
      if (is_better(plan.of(stage), best.of(stage), plan.available)) best = plan;
    }
  }
  plan = best;
}

// The largest of `most` down to 1 for which `fits` holds; 0 when none does. Less always fits where
// more does.
std::int64_t largest(std::int64_t most, const std::function<bool(std::int64_t)>& fits) {
  std::int64_t low = 0;
  std::int64_t high = most + 1;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

bool fits(const Plan& plan) {
  return plan.total <= plan.available;
}

// Whether the text encoder and the transformer fit: where networks are released, how many pictures
// a pass has does not matter to the decoder.
bool latents_fit(const Plan& plan) {
  return std::all_of(kLatentStages.begin(), kLatentStages.end(),
                     [&](Stage stage) { return plan.of(stage).total <= plan.available; });
}

// The plan that `make` gives for the most pictures in one pass that let it fit, spread evenly over
// the passes; where none does, for one.
Plan in_fewest_passes(std::int64_t count, const std::function<Plan(std::int64_t)>& make,
                      const std::function<bool(const Plan&)>& is_fit) {
  Plan plan = make(count);
  if (count == 1 || is_fit(plan)) return plan;
  const std::int64_t most = std::max<std::int64_t>(
      largest(count - 1, [&](std::int64_t pictures) { return is_fit(make(pictures)); }), 1);
  const std::int64_t passes = (count + most - 1) / most;
  return make((count + passes - 1) / passes);
}

std::string text_of(const PictureSize& size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

}  // namespace

Plan make_plan(Parts& parts, const Drawing& drawing, const Residency& residency) {
  const MemoryKind memory = parts.planner().memory_kind();
  const auto keeping = [&](Keep keep, std::int64_t pictures) {
    Drawing passes = drawing;
    passes.pictures_per_pass = pictures;
    Plan plan;
    plan.stages = plan_stages(parts.planner(), parts.planned(), passes);
    for (StagePlan& stage : plan.stages) add_weights(stage, parts);
    plan.process = residency.process;
    plan.available = residency.available;
    plan.keep = keep;
    plan.count = drawing.count;
    plan.pictures_per_pass = pictures;
    plan.evaluations = drawing.evaluations();
    add_totals(plan, memory);
    return plan;
  };
  const auto streaming = [&](std::int64_t pictures) {
    Plan plan = keeping(Keep::None, pictures);
    for (const Stage stage : kLatentStages) {
      StagePlan& planned = plan.of(stage);
      if (planned.total > plan.available) stream_layers(plan, planned, parts.size(stage), memory);
    }
    return plan;
  };
  if (residency.keep != Keep::None) {
    const Plan plan = in_fewest_passes(
        drawing.count, [&](std::int64_t pictures) { return keeping(Keep::All, pictures); }, fits);
    if (fits(plan) || residency.keep == Keep::All) return plan;
  }
  Plan plan = in_fewest_passes(
      drawing.count, [&](std::int64_t pictures) { return keeping(Keep::None, pictures); },
      latents_fit);
  if (!latents_fit(plan)) plan = in_fewest_passes(drawing.count, streaming, latents_fit);
  for (const Stage stage : {Stage::EncodeImage, Stage::Decode}) {
    if (plan.of(stage).total > plan.available) cut_strips(plan, parts, drawing, stage);
  }
  return plan;
}

std::string refusal(const Plan& plan, const PictureSize& size,
                    const std::function<bool(const PictureSize&)>& fits) {
  std::size_t activations = 0;
  for (const StagePlan& stage : plan.stages) activations = std::max(activations, stage.activations);
  const auto most_needed =
      std::max_element(plan.stages.begin(), plan.stages.end(),
                       [](const StagePlan& a, const StagePlan& b) { return a.total < b.total; });
  std::string text = "the request needs " + bytes_text(plan.total) + " (" +
                     bytes_text(activations) + " of activations; the most in stage \"" +
                     std::string(name_of(most_needed->stage)) + "\")" +
                     (plan.keep == Keep::All ? " with every network loaded" : " at least") + ", " +
                     bytes_text(plan.available) + " are available; ";
  if (plan.keep == Keep::All)
    return text + "networks that are released after their stage (keep: auto) take less";
  const bool wide = size.width >= size.height;
  const std::int64_t longer = std::max(size.width, size.height);
  const std::int64_t shorter = std::min(size.width, size.height);
  const auto sized = [&](std::int64_t steps, std::int64_t other) {
    const std::int64_t side = steps * kSizeStep;
    return wide ? PictureSize{side, other} : PictureSize{other, side};
  };
  const auto similar = [&](std::int64_t steps) {
    const std::int64_t other = shorter * steps * kSizeStep / longer / kSizeStep * kSizeStep;
    return sized(steps, std::max(kSizeStep, other));
  };
  const std::int64_t most = (longer - 1) / kSizeStep;
  const std::int64_t both = largest(most, [&](std::int64_t steps) { return fits(similar(steps)); });
  const std::int64_t one =
      largest(most, [&](std::int64_t steps) { return fits(sized(steps, shorter)); });
  if (both == 0) return text + "no size fits: free memory, or allow more";
  text += "the nearest sizes that fit are " + text_of(similar(both));
  return one > 0 ? text + " and " + text_of(sized(one, shorter)) : text;
}

std::string shortage(const Plan& plan, Stage stage, const std::string& found) {
  const StagePlan& planned = plan.of(stage);
  return std::string(name_of(stage)) + ": " + found + "; " + bytes_text(planned.total) +
         " were planned for this stage, " + bytes_text(plan.available) +
         " were available then: other programs have taken memory since. Free it, or allow less "
         "(memory limit)";
}

}  // namespace zimage
