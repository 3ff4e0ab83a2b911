// The ways from noise to a picture, and their names.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace zimage {

// How latents are carried from one noise level to the next.
enum class Sampler : std::uint8_t {
  Euler,      // a straight line along the velocity
  Heun,       // the mean of the velocities at both ends; two forwards a step, the last has one
  Dpmpp1,     // DPM-Solver++ of first order: a straight line towards the denoised picture
  Dpmpp2M,    // of second order, with the denoised picture of the step before
  Dpmpp3M,    // of third order, with those of the two steps before
  Dpmpp2MSde  // of second order, with new noise in each step
};

// Every sampler, in the order of the enumeration.
std::span<const Sampler> samplers();

// "euler", "heun", "dpmpp-1", "dpmpp-2m", "dpmpp-3m", "dpmpp-2m-sde".
std::string_view name_of(Sampler sampler);

// By name_of(), or "sde-dpmsolver++", as diffusers' configuration files name the last one. Nothing
// for any other name.
std::optional<Sampler> find_sampler(std::string_view name);

}  // namespace zimage
