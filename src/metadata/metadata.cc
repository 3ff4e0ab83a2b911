// Writes the two forms of a picture's metadata.
#include "metadata/metadata.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace zimage {
namespace {

// A1111's readers split at commas and colons, and take a JSON string as one value.
std::string a1111_value(const std::string& text) {
  return text.find_first_of(",:\n\"") == std::string::npos ? text : json_line(OrderedJson(text));
}

// As the web UI spells them; it has no name for those of first and third order.
const char* a1111_sampler(Sampler sampler) {
  switch (sampler) {
    case Sampler::Euler: return "Euler";
    case Sampler::Heun: return "Heun";
    case Sampler::Dpmpp1: return "DPM++ 1M";
    case Sampler::Dpmpp2M: return "DPM++ 2M";
    case Sampler::Dpmpp3M: return "DPM++ 3M";
    case Sampler::Dpmpp2MSde: return "DPM++ 2M SDE";
  }
  return "?";
}

}  // namespace

OrderedJson file_json(const SourceFile& file) {
  return {{"file", file.name}, {"sha256", file.sha256}};
}

const char* name_of(RngKind rng) {
  return rng == RngKind::Cpu ? "cpu" : "cuda";
}

std::string a1111_parameters(const Provenance& provenance) {
  const Request& request = provenance.request;
  std::string text = request.prompt;
  if (!text.empty()) text += '\n';
  const double guidance = request.guidance.value_or(0);
  if (guidance > 0 && !request.negative_prompt.empty())
    text += fmt::format("Negative prompt: {}\n", request.negative_prompt);
  const std::string batch = request.count == 1 ? ""
                                               : fmt::format("Batch size: {}, Batch pos: {}, ",
                                                             request.count, provenance.index);
  // In A1111's terms a CFG scale of 1 is one forward a step without guidance: it is counted from
  // the negative prompt, diffusers' for this model from the prompt. Its RNG "NV" is the CUDA
  // generator on any machine.
  std::string schedule;
  if (request.strength) schedule += fmt::format("Denoising strength: {}, ", *request.strength);
  if (request.seed_variety > 0) schedule += fmt::format("Seed variety: {}, ", request.seed_variety);
  if (request.shift) schedule += fmt::format("Shift: {}, ", *request.shift);
  if (!request.sigmas.empty())
    schedule += fmt::format("Sigmas: \"{}\", ", fmt::join(request.sigmas, ","));
  text += fmt::format(
      "Steps: {}, Sampler: {}, CFG scale: {}, {}Seed: {}, Size: {}x{}, Model: {}, {}RNG: {}, "
      "Version: zimage {}",
      request.steps.value_or(0), a1111_sampler(request.sampler), 1 + guidance, schedule,
      request.seed, request.width.value_or(0), request.height.value_or(0),
      a1111_value(provenance.model), batch, request.rng == RngKind::Cpu ? "CPU" : "NV", version());
  return text;
}

OrderedJson sampling_json(const Request& request) {
  OrderedJson json{{"steps", request.steps.value_or(0)},
                   {"sampler", zimage::name_of(request.sampler)}};
  if (!request.sigmas.empty()) json["sigmas"] = request.sigmas;
  if (request.shift) json["shift"] = *request.shift;
  if (request.strength) json["strength"] = *request.strength;
  if (request.seed_variety > 0) json["seed_variety"] = request.seed_variety;
  json["guidance"] = request.guidance.value_or(0);
  if (request.guidance.value_or(0) == 0) return json;
  json["negative_prompt"] = request.negative_prompt;
  json["cfg_normalization"] = request.cfg_normalization;
  json["cfg_truncation"] = request.cfg_truncation;
  return json;
}

std::string request_json(const Provenance& provenance) {
  const Request& request = provenance.request;
  OrderedJson json{{"program", "zimage"},
                   {"version", version()},
                   {"prompt", request.prompt},
                   {"width", request.width.value_or(0)},
                   {"height", request.height.value_or(0)}};
  json.update(sampling_json(request));
  if (!provenance.sources.init_image.name.empty())
    json["init_image"] = file_json(provenance.sources.init_image);
  if (!provenance.sources.mask.name.empty()) {
    json["mask"] = file_json(provenance.sources.mask);
    json["composite"] = request.composite;
  }
  json.update(OrderedJson{{"seed", request.seed},
                          {"rng", name_of(request.rng)},
                          {"count", request.count},
                          {"index", provenance.index},
                          {"model", provenance.model},
                          {"device", provenance.device},
                          {"precision", provenance.precision},
                          {"encoding", provenance.encoding},
                          {"cpu_kernel", provenance.cpu_kernel}});
  return json_line(json);
}

ImageText metadata(const Provenance& provenance) {
  return {{"parameters", a1111_parameters(provenance)}, {"zimage", request_json(provenance)}};
}

}  // namespace zimage
