// Chooses how a drawing fits memory: how many pictures the transformer computes at once, which
// networks stay, which blocks are streamed, whether the autoencoder works in strips.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "pipeline/parts.h"

namespace zimage {

// What a plan has to keep to.
struct Residency {
  Keep keep = Keep::Auto;
  std::size_t process = 0;    // Plan::process
  std::size_t available = 0;  // Plan::available
};

// The first of these that fits, else the last: every network stays (unless keep is None); each is
// released after its stage; and where a stage alone does not fit, as many of its blocks are
// streamed, or the autoencoder works in such strips, as it takes. Keep::All allows the first alone.
// In each of them the transformer computes all pictures of the drawing in one pass, or in as few
// passes as fit; drawing.pictures_per_pass does not matter.
// Throws what Parts::planned() throws.
Plan make_plan(Parts& parts, const Drawing& drawing, const Residency& residency);

// A picture's size in pixels.
struct PictureSize {
  std::int64_t width = 0;
  std::int64_t height = 0;
};

// For a request that does not fit: what it needs, and the two sizes nearest to it that fit - the
// same proportions, and the longer side alone shortened.
std::string refusal(const Plan& plan, const PictureSize& size,
                    const std::function<bool(const PictureSize&)>& fits);

// For a stage that found less memory than the plan had seen: what it needs, and what helps. `found`
// is the backend's own text.
std::string shortage(const Plan& plan, Stage stage, const std::string& found);

}  // namespace zimage
