// What a drawing costs, from a run of it on the plan backend.
#pragma once

#include <array>
#include <cstddef>

#include "backend/plan/plan_backend.h"
#include "pipeline/drawing.h"

namespace zimage {

// Activations, workspace, host memory and FLOPs of each stage, in the order of Stage; all else is
// left at 0. `networks` are made on `backend`.
std::array<StagePlan, kStageCount> plan_stages(PlanBackend& backend, const Networks& networks,
                                               const Drawing& drawing);

// The same of one stage alone, Decode or EncodeImage.
StagePlan plan_picture(PlanBackend& backend, const Networks& networks, const Drawing& drawing,
                       Stage stage);

// Bytes of the activations' memory while a stage runs. Where networks are released, the image
// encoder's is given back before the text encoder's is taken, and the decoder's is taken after
// that has been given back; else one block serves all stages.
std::size_t activation_bytes(const Plan& plan, Stage stage);

// Fills in the totals for plan.keep, which is All or None, from the stages' parts and plan.process.
void add_totals(Plan& plan, MemoryKind memory);

}  // namespace zimage
