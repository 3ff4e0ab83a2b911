// Guidance: away from what a second prompt gives. What enters: the velocities of both prompts; what
// leaves: the one that the sampler takes. Follows diffusers ZImagePipeline.__call__.
#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace zimage {

struct Guidance {
  float scale = 0;          // 0: none, and no negative prompt
  float normalization = 0;  // the most that a velocity may grow by, as a factor; 0: any
  double truncation = 1;    // steps whose 1 - sigma exceeds it have no guidance

  bool is_on() const { return scale > 0; }
  // Whether the step at time 1 - sigma has guidance.
  bool is_on_at(float time) const { return is_on() && !(double{time} > truncation); }
};

// velocity += scale * (velocity - negative), then, where a picture's norm has grown by more than
// guidance.normalization, shortened to that. Both [n T, token_features] f32 of `pictures` pictures;
// their sign does not matter. What `negative` holds is lost. Norms are taken on the host: with
// normalization, this waits for everything enqueued.
void apply_guidance(Backend& backend, const Tensor& velocity, const Tensor& negative,
                    const Guidance& guidance, std::int64_t pictures);

}  // namespace zimage
