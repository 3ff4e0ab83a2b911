// Weights in page-locked host memory, copied to the device on a stream of their own.
#pragma once

#include <cuda_runtime_api.h>

#include <map>
#include <utility>

#include "backend/backend.h"

namespace zimage::cuda {

class CudaBackend;

// A block of page-locked host memory, and the end of its last copy to the device.
class PinnedBlock {
 public:
  // Empty where host memory does not suffice.
  explicit PinnedBlock(std::size_t bytes);
  ~PinnedBlock();
  PinnedBlock(PinnedBlock&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        copied_(std::exchange(other.copied_, nullptr)) {}
  PinnedBlock& operator=(PinnedBlock&&) = delete;
  PinnedBlock(const PinnedBlock&) = delete;
  PinnedBlock& operator=(const PinnedBlock&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  cudaEvent_t copied() const { return copied_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  cudaEvent_t copied_ = nullptr;
};

class PinnedSlabs final : public HostSlabs {
 public:
  explicit PinnedSlabs(CudaBackend& backend);
  ~PinnedSlabs() override;

  bool keep(std::int64_t index, const Buffer& slab, std::size_t bytes) override;
  bool has(std::int64_t index) const override { return slabs_.contains(index); }
  void fetch(const Buffer& slab, std::int64_t index) override;
  void wait(std::int64_t index) override;

 private:
  CudaBackend& backend_;
  std::map<std::int64_t, PinnedBlock> slabs_;
  cudaStream_t copies_ = nullptr;
  cudaEvent_t enqueued_ = nullptr;  // all work that a copy comes behind
};

}  // namespace zimage::cuda
