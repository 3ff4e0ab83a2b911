// The operations on an NVIDIA GPU: bf16 activations and weights with f32 sums, or f32 throughout
// (without TF32). cuBLASLt multiplies matrices; everything else is our own, with faster kernels on
// Hopper.
#pragma once

#include <filesystem>
#include <memory>

#include "backend/backend.h"

namespace zimage {

struct CudaOptions {
  DType activations = DType::BF16;  // or F32
  // Folder for choices measured on the card; empty: $XDG_CACHE_HOME/zimage, else ~/.cache/zimage.
  std::filesystem::path cache;
  bool hopper_kernels = true;  // use the kernels for Hopper where the device is one
  bool tune = true;            // measure matrix products at their first use
};

// How many devices this process sees; 0 without a driver, or with one too old.
int cuda_device_count();

// Throws Device with the reason where there is none (no driver, driver too old, no device),
// InvalidArgument for a device that does not exist, Unsupported for one older than compute
// capability 8.0.
std::unique_ptr<Backend> make_cuda_backend(int device, const CudaOptions& options = {});

}  // namespace zimage
