// Which instruction set the CPU kernels use: what the processor has, or what the caller forces.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "backend/cpu/kernels/kernels.h"

namespace zimage::cpu {

enum class Isa : std::uint8_t { Best, Avx512, Avx2, Portable };

// "best", "avx512", "avx2", "portable".
std::string_view name_of(Isa isa);
// The inverse. Throws InvalidArgument for another name.
Isa isa_from_name(std::string_view name);

// What this processor and this build have, the fastest first; never Best, never empty.
std::vector<Isa> available_isas();

// The kernels of `isa`. Throws Unsupported where the processor or the build lacks it.
const Kernels& kernels_of(Isa isa);

// Whether GemmArgs::widen is faster on this processor.
bool widens_first(Isa isa);

}  // namespace zimage::cpu
