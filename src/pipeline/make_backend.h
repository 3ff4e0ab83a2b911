// From a device's name to its backend.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"

namespace zimage {

// What PipelineOptions say about it.
struct BackendOptions {
  std::string device = "auto";      // or "cpu", "cuda", "cuda:N", "reference"
  std::string precision = "auto";   // or "exact", "bf16", "fast"
  int threads = 0;                  // of a CPU; 0: all
  std::string cpu_kernel = "best";  // of a CPU; or "avx512", "avx2", "portable"
};

// Throws InvalidArgument for another name, Unsupported for a device this build has no backend for,
// a precision that the device has not or a kernel that the CPU it computes on has not, Device where
// there is none.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace zimage
