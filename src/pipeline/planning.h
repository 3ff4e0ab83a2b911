// What a drawing costs, from a run of it on the plan backend.
#pragma once

#include <array>

#include "backend/plan/plan_backend.h"
#include "pipeline/drawing.h"

namespace zimage {

// Activations, scratch and FLOPs of each stage, in the order of Stage; the weights are left at 0.
// `networks` are made on `backend`.
std::array<StagePlan, 3> plan_stages(PlanBackend& backend, const Networks& networks,
                                     const Drawing& drawing);

}  // namespace zimage
