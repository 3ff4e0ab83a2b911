// The one place where a request is checked, whoever made it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/pipeline.h"
#include "scheduler/flow_match.h"

namespace zimage {

// What a model draws where a request says nothing.
struct ModelDefaults {
  std::int64_t side = 0;  // width and height in pixels
  std::int64_t steps = 8;
  double guidance = 0;
  bool is_distilled = true;  // to few steps without guidance
};

// By the constant shift in the model's own files: below 6, or where there is none, the model counts
// as distilled (it is published with 3); from 6 on as undistilled (published with 6), which gets
// the 50 steps and the guidance of 4 of its model card, since no file names them.
ModelDefaults model_defaults(const SchedulerConfig& scheduler, std::int64_t side);

// The request with every absent field filled in, but for those that have no default; a complete one
// stays as it is. Throws
// InvalidArgument, naming the field, what was expected and what was found.
Request complete_request(const Request& request, const ModelDefaults& defaults);

// Request::sigmas as the scheduler takes them.
std::vector<float> noise_levels(const Request& request);

// How many of a complete request's steps are left out at the beginning, which an init image takes
// the place of. Source: diffusers ZImageImg2ImgPipeline.get_timesteps.
std::int64_t skipped_steps(const Request& request);

// One sentence, for people, on each choice of a complete request that has no effect, or is known to
// hurt what a distilled model draws.
std::vector<std::string> request_notes(const Request& request, const ModelDefaults& defaults);

}  // namespace zimage
