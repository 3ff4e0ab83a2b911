// From a device's name to its backend.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"

namespace zimage {

// `device` is "auto", "cpu", "cuda", "cuda:N" or "reference"; `threads` counts for CPUs, 0 for all.
// Throws InvalidArgument for another name, Unsupported for a device this build has no backend for,
// Device where there is none.
std::unique_ptr<Backend> make_backend(const std::string& device, int threads);

}  // namespace zimage
