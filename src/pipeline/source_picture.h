// The picture that a drawing begins from: a request's, fitted to the size that is drawn, and which
// of its pixels are drawn anew.
#pragma once

#include <cstdint>
#include <vector>

#include "image/image.h"
#include "pipeline/latents.h"
#include "pipeline/pipeline.h"

namespace zimage {

struct SourcePicture {
  Image picture;                   // of the size that is drawn
  std::vector<std::uint8_t> mask;  // a byte a pixel, 1: drawn anew; empty without a mask
};

// Of a complete request with an init image: the part around its middle that has the proportions of
// the request's size, scaled to that; the mask's part likewise, white where it is at least half as
// bright. Their last columns and rows are repeated to width x height, the size that is drawn.
// Source: diffusers VaeImageProcessor.preprocess, for equal proportions.
SourcePicture fit_source(const Request& request, std::int64_t width, std::int64_t height);

// Rows [begin, end) as the encoder reads them: [end - begin, width, 3], -1 to 1.
std::vector<float> encoder_pixels(const Image& picture, std::int64_t begin, std::int64_t end);

// The mask of a latent as tokens, 1 where it is drawn anew: that of the upper left pixel of each
// latent pixel. Source: diffusers ZImageInpaintPipeline.prepare_mask_latents.
std::vector<float> mask_tokens(const SourcePicture& source, const LatentShape& shape);

// Puts the source's pixels where its mask keeps them. `image` is no larger than the source.
void keep_unmasked(Image& image, const SourcePicture& source);

}  // namespace zimage
