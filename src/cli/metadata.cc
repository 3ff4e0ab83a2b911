// Writes the two forms of a picture's metadata.
#include "cli/metadata.h"

#include <fmt/format.h>

#include "cli/json_line.h"

namespace zimage::cli {
namespace {

// A1111's readers split at commas and colons, and take a JSON string as one value.
std::string a1111_value(const std::string& text) {
  return text.find_first_of(",:\n\"") == std::string::npos ? text : json_line(OrderedJson(text));
}

}  // namespace

const char* name_of(RngKind rng) {
  return rng == RngKind::Cpu ? "cpu" : "cuda";
}

std::string a1111_parameters(const Provenance& provenance) {
  const Request& request = provenance.request;
  std::string text = request.prompt;
  if (!text.empty()) text += '\n';
  const std::string batch = request.count == 1 ? ""
                                               : fmt::format("Batch size: {}, Batch pos: {}, ",
                                                             request.count, provenance.index);
  // In A1111's terms a CFG scale of 1 is one forward a step without guidance (0 in diffusers' terms
  // for this model), and its RNG "NV" is the CUDA generator on any machine.
  text += fmt::format(
      "Steps: {}, Sampler: Euler, CFG scale: 1, Seed: {}, Size: {}x{}, Model: {}, {}RNG: {}, "
      "Version: zimage {}",
      request.steps.value_or(0), request.seed, request.width.value_or(0),
      request.height.value_or(0), a1111_value(provenance.model), batch,
      request.rng == RngKind::Cpu ? "CPU" : "NV", version());
  return text;
}

std::string request_json(const Provenance& provenance) {
  const Request& request = provenance.request;
  return json_line(OrderedJson{{"program", "zimage"},
                               {"version", version()},
                               {"prompt", request.prompt},
                               {"width", request.width.value_or(0)},
                               {"height", request.height.value_or(0)},
                               {"steps", request.steps.value_or(0)},
                               {"seed", request.seed},
                               {"rng", name_of(request.rng)},
                               {"count", request.count},
                               {"index", provenance.index},
                               {"model", provenance.model},
                               {"device", provenance.device},
                               {"precision", provenance.precision},
                               {"encoding", provenance.encoding},
                               {"cpu_kernel", provenance.cpu_kernel}});
}

ImageText metadata(const Provenance& provenance) {
  return {{"parameters", a1111_parameters(provenance)}, {"zimage", request_json(provenance)}};
}

}  // namespace zimage::cli
