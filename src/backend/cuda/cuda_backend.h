// The operations on an NVIDIA GPU: bf16 activations and weights with f32 sums, or f32 throughout (without
// TF32). cuBLASLt multiplies matrices; everything else is our own, with faster kernels on Hopper.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "backend/backend.h"

namespace zimage {

// How matrices of the size of a network's blocks are stored and multiplied.
enum class CudaEncoding : std::uint8_t {
  Plain,  // in the type of the activations
  Fp8,    // e4m3 with a scale for each row of weights and of activations; Hopper only
};

struct CudaOptions {
  DType activations = DType::BF16;  // or F32
  CudaEncoding encoding = CudaEncoding::Plain;
  // Folder for choices measured on the card; empty: $XDG_CACHE_HOME/zimage, else ~/.cache/zimage.
  std::filesystem::path cache;
  bool hopper_kernels = true;  // use the kernels for Hopper where the device is one
  bool tune = true;            // measure matrix products at their first use
};

// How many devices this process sees; 0 without a driver, or with one too old.
int cuda_device_count();

// Throws Device with the reason where there is none (no driver, driver too old, no device), InvalidArgument
// for a device that does not exist, Unsupported for one older than compute capability 8.0.
std::unique_ptr<Backend> make_cuda_backend(int device, const CudaOptions& options = {});

}  // namespace zimage
