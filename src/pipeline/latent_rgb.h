// What a picture will look like, at one pixel a latent pixel and next to no cost: a linear map from
// latents to colours, fitted to a decoder. What enters: latents, or pixels that the decoder made of
// some; what leaves: an image.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "image/image.h"
#include "pipeline/latents.h"

namespace zimage {

class LatentRgb {
 public:
  // By least squares, from the decoder's map [rows, columns, channels] and what it made of that:
  // pixels [scale rows, scale columns, 3], -1 to 1, of which each square of scale x scale counts
  // as its mean. Channels that tell nothing get no weight.
  LatentRgb(std::span<const float> map, std::span<const float> pixels, const LatentShape& shape);

  // One pixel for each of the map's.
  Image image(std::span<const float> map, const LatentShape& shape) const;

 private:
  std::int64_t channels_;
  std::vector<double> weights_;  // [channels + 1, 3], the last row is added to each pixel
};

// A map [rows, columns, channels] on which a decoder shows what it does: colours that go over into
// each other, coarse and fine. The same in every run; its values are as N(0, 1), `scale` undone.
std::vector<float> fitting_map(const LatentShape& shape, const LatentScale& scale);

}  // namespace zimage
