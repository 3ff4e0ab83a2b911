// Two streams and the events between them.
#include "backend/cuda/host_slabs.h"

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/cuda_device.h"
#include "base/process_memory.h"

namespace zimage::cuda {
namespace {

// Page-locked memory cannot be swapped: as much stays free for everybody else.
constexpr std::size_t kLeftFree = std::size_t{2} << 30;

}  // namespace

PinnedBlock::PinnedBlock(std::size_t bytes) {
  if (available_memory() < bytes + kLeftFree) return;
  const cudaError_t status = cudaHostAlloc(&data_, bytes, cudaHostAllocDefault);
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // not a fault of the device
    data_ = nullptr;
    return;
  }
  check_cuda(status);
  bytes_ = bytes;
  check_cuda(cudaEventCreateWithFlags(&copied_, cudaEventDisableTiming));
}

PinnedBlock::~PinnedBlock() {
  if (copied_ != nullptr) static_cast<void>(cudaEventDestroy(copied_));
  static_cast<void>(cudaFreeHost(data_));
}

PinnedSlabs::PinnedSlabs(CudaBackend& backend) : backend_(backend) {
  static_cast<void>(backend_.queue());
  check_cuda(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking));
  check_cuda(cudaEventCreateWithFlags(&enqueued_, cudaEventDisableTiming));
}

PinnedSlabs::~PinnedSlabs() {
  static_cast<void>(cudaSetDevice(backend_.device()));
  static_cast<void>(cudaDeviceSynchronize());  // copies in both directions
  static_cast<void>(cudaEventDestroy(enqueued_));
  static_cast<void>(cudaStreamDestroy(copies_));
}

bool PinnedSlabs::keep(std::int64_t index, const Buffer& slab, std::size_t bytes) {
  const cudaStream_t stream = backend_.start();
  PinnedBlock block(bytes);
  if (block.data() == nullptr) return false;
  const PinnedBlock& kept = slabs_.emplace(index, std::move(block)).first->second;
  check_cuda(cudaMemcpyAsync(kept.data(), slab.data(), bytes, cudaMemcpyDeviceToHost, stream));
  return true;
}

void PinnedSlabs::fetch(const Buffer& slab, std::int64_t index) {
  const PinnedBlock& block = slabs_.at(index);
  check_cuda(cudaEventRecord(enqueued_, backend_.start()));
  check_cuda(cudaStreamWaitEvent(copies_, enqueued_));
  check_cuda(
      cudaMemcpyAsync(slab.data(), block.data(), block.bytes(), cudaMemcpyHostToDevice, copies_));
  check_cuda(cudaEventRecord(block.copied(), copies_));
}

void PinnedSlabs::wait(std::int64_t index) {
  check_cuda(cudaStreamWaitEvent(backend_.start(), slabs_.at(index).copied()));
}

}  // namespace zimage::cuda
