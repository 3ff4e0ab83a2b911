// Copies what both sides have.
#include "cli/pipeline_options.h"

namespace zimage::cli {

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

}  // namespace zimage::cli
