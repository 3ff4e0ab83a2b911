// The backends that the conformance suite judges: those this build and this machine have.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace zimage {

struct BackendCase {
  std::string name;  // letters, digits and '_': part of the test's name
  std::function<std::unique_ptr<Backend>()> make;
};

inline void PrintTo(const BackendCase& backend, std::ostream* stream) {
  *stream << backend.name;
}

// One entry for each instruction set of the CPU backend that this processor has, with one and with
// several threads, and one for each accelerator.
std::vector<BackendCase> conformance_backends();

}  // namespace zimage
