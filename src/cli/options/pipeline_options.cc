// Copies what both sides have, and reads the pictures.
#include "cli/options/pipeline_options.h"

#include <utility>

#include "image/decode.h"

namespace zimage::cli {
namespace {

void read_pictures(Request& request, const PictureOptions& options) {
  if (options.init_image) request.init_image = read_picture(*options.init_image, kWhite);
  if (options.mask) request.mask = read_picture(*options.mask, kBlack);
  request.strength = options.strength;
  request.composite = !options.no_composite;
}

}  // namespace

PipelineOptions pipeline_options(const ModelLocation& place, const DrawOptions& options) {
  return {.model = place.folder,
          .transformer = place.transformer,
          .text_encoder = place.text_encoder,
          .vae = place.vae,
          .tokenizer = place.tokenizer,
          .device = options.device,
          .threads = options.threads,
          .cpu_kernel = options.cpu_kernel,
          .precision = options.precision,
          .encoding = options.encoding,
          .keep = options.keep,
          .memory_limit = options.memory_limit,
          .load = options.load,
          .weights = options.weights,
          .weights_cache = options.weights_cache.value_or("")};
}

Request draw_request(const DrawOptions& options, std::string prompt) {
  Request request{.prompt = std::move(prompt),
                  .width = options.width,
                  .height = options.height,
                  .steps = options.steps,
                  .sampler = options.sampler,
                  .sigmas = options.sigmas,
                  .shift = options.shift,
                  .guidance = options.guidance,
                  .negative_prompt = options.negative_prompt,
                  .cfg_normalization = options.cfg_normalization,
                  .cfg_truncation = options.cfg_truncation,
                  .allow_flat = options.allow_flat,
                  .seed_variety = options.seed_variety,
                  .count = options.count};
  read_pictures(request, options.pictures);
  return request;
}

}  // namespace zimage::cli
