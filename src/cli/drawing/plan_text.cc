// Phrases.
#include "cli/drawing/plan_text.h"

#include <fmt/format.h>

namespace zimage::cli {

std::string mebibytes(std::size_t bytes) {
  return fmt::format("{:.1f}", static_cast<double>(bytes) / 0x1p20);
}

std::string size_text(const Request& request) {
  std::string text =
      fmt::format("{}x{}, {} steps", *request.width, *request.height, *request.steps);
  if (request.sampler != Sampler::Euler)
    text += fmt::format(" of {}", zimage::name_of(request.sampler));
  if (*request.guidance > 0) text += fmt::format(", guidance {}", *request.guidance);
  if (request.strength) text += fmt::format(", strength {}", *request.strength);
  if (request.count > 1) text += fmt::format(", {} pictures", request.count);
  return text;
}

std::string choices_text(const Plan& plan) {
  std::string text = plan.keep == Keep::All ? "every network stays loaded"
                                            : "each network is released after its stage";
  for (const StagePlan& stage : plan.stages) {
    if (stage.streamed == 0) continue;
    text += fmt::format(", {} of {} blocks of the {} are streamed", stage.streamed, stage.layers,
                        stage.stage == Stage::Denoise ? "transformer" : "text encoder");
    if (stage.copies > 0)
      text += fmt::format(" from {} MiB of host memory", mebibytes(stage.copies));
  }
  if (plan.pictures_per_pass < plan.count) {
    text += fmt::format(", the {} pictures are drawn in {} passes of {}", plan.count, plan.passes(),
                        plan.pictures_per_pass);
    if (plan.count % plan.pictures_per_pass != 0) text += " or fewer";
  }
  if (plan.strip_rows > 0)
    text += fmt::format(", pictures are decoded in strips of {} latent rows", plan.strip_rows);
  if (plan.encoder_strip_rows > 0)
    text += fmt::format(", the init image is encoded in strips of {} latent rows",
                        plan.encoder_strip_rows);
  return text;
}

}  // namespace zimage::cli
