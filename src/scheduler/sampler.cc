// One table.
#include "scheduler/sampler.h"

#include <array>

namespace zimage {
namespace {

constexpr std::array kSamplers = {Sampler::Euler,   Sampler::Heun,    Sampler::Dpmpp1,
                                  Sampler::Dpmpp2M, Sampler::Dpmpp3M, Sampler::Dpmpp2MSde};
constexpr std::array<std::string_view, kSamplers.size()> kNames = {
    "euler", "heun", "dpmpp-1", "dpmpp-2m", "dpmpp-3m", "dpmpp-2m-sde"};
// Source: algorithm_type of diffusers DPMSolverMultistepScheduler.
constexpr std::string_view kDiffusersSde = "sde-dpmsolver++";

}  // namespace

std::span<const Sampler> samplers() {
  return kSamplers;
}

std::string_view name_of(Sampler sampler) {
  return kNames[static_cast<std::size_t>(sampler)];
}

std::optional<Sampler> find_sampler(std::string_view name) {
  for (const Sampler sampler : kSamplers) {
    if (name == name_of(sampler)) return sampler;
  }
  if (name == kDiffusersSde) return Sampler::Dpmpp2MSde;
  return std::nullopt;
}

}  // namespace zimage
