// Torch's two generators of float32 N(0, 1) numbers, so that a seed means the same noise here as in
// the reference. What enters: a seed; what leaves: the values of successive torch.randn calls.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>

namespace zimage {

// torch.Generator("cpu"). Draws of 16 or more values and shorter draws follow different rules, as
// in torch, so a draw must not be split. Source: pytorch CPUGeneratorImpl.cpp and
// native/cpu/DistributionTemplates.h (normal_fill).
class TorchCpuGenerator {
 public:
  // As manual_seed(seed): only the low 32 bits matter.
  explicit TorchCpuGenerator(std::uint64_t seed) : engine_(static_cast<std::uint32_t>(seed)) {}

  // Fills `out` as the next torch.randn(out.size()) does, to within 1e-6.
  void normal(std::span<float> out);

 private:
  float uniform();
  double uniform_double();
  double normal_double();

  std::mt19937 engine_;
  std::optional<double> cached_normal_;  // the second of a pair, for the next short draw
};

// torch.Generator("cuda"). Where an element falls in the stream depends on how many threads the GPU
// runs at once; this is the H100's launch (132 multiprocessors of 2048 threads), which other GPUs
// share up to their own number of threads and leave above it. Source: pytorch
// native/cuda/DistributionTemplates.h; cuRAND's Philox4x32-10 and Box-Muller.
class TorchCudaGenerator {
 public:
  explicit TorchCudaGenerator(std::uint64_t seed) : seed_(seed) {}

  // Fills `out` as the next torch.randn(out.size(), device="cuda") does, to within 1e-6.
  // Precondition: fewer than 2^31 values.
  void normal(std::span<float> out);

 private:
  std::uint64_t seed_;
  std::uint64_t next_counter_ = 0;  // of every thread's subsequence, in blocks of four numbers
};

}  // namespace zimage
