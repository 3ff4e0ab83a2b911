// How much a command says on standard error.
#pragma once

#include <cstdint>

namespace zimage::cli {

enum class Verbosity : std::uint8_t { Quiet, Normal, Verbose };

}  // namespace zimage::cli
