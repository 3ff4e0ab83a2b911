// Pinned staging.
#include "backend/cuda/upload.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "backend/cuda/check_cuda.h"

namespace zimage::cuda {

Uploader::~Uploader() {
  for (const Slot& slot : slots_) {
    if (slot.done != nullptr) static_cast<void>(cudaEventSynchronize(slot.done));
    static_cast<void>(cudaFreeHost(slot.host));
    static_cast<void>(cudaFree(slot.device));
    if (slot.done != nullptr) static_cast<void>(cudaEventDestroy(slot.done));
  }
}

Uploader::Slot& Uploader::next_slot() {
  Slot& slot = slots_[turn_++ % slots_.size()];
  if (slot.done == nullptr) {
    check_cuda(cudaEventCreateWithFlags(&slot.done, cudaEventDisableTiming));
  } else {
    check_cuda(cudaEventSynchronize(slot.done));
  }
  if (slot.host == nullptr) check_cuda(cudaHostAlloc(&slot.host, kSlotBytes, cudaHostAllocDefault));
  return slot;
}

void Uploader::copy(void* target, const void* source, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += kSlotBytes) {
    const std::size_t part = std::min(kSlotBytes, bytes - at);
    Slot& slot = next_slot();
    std::memcpy(slot.host, static_cast<const std::byte*>(source) + at, part);
    check_cuda(cudaMemcpyAsync(static_cast<std::byte*>(target) + at, slot.host, part,
                               cudaMemcpyHostToDevice, stream_));
    check_cuda(cudaEventRecord(slot.done, stream_));
  }
}

void Uploader::fetch(void* target, const void* source, std::size_t bytes) {
  constexpr std::size_t kStep = std::size_t{2} << 20;  // small, so that the two copies overlap
  struct Pending {
    const Slot* slot;
    std::size_t at;
    std::size_t size;
  };
  const auto finish = [&](const Pending& pending) {
    check_cuda(cudaEventSynchronize(pending.slot->done));
    std::memcpy(static_cast<std::byte*>(target) + pending.at, pending.slot->host, pending.size);
  };
  Pending pending{};
  for (std::size_t at = 0; at < bytes; at += kStep) {
    Slot& slot = next_slot();
    const std::size_t part = std::min(kStep, bytes - at);
    check_cuda(cudaMemcpyAsync(slot.host, static_cast<const std::byte*>(source) + at, part,
                               cudaMemcpyDeviceToHost, stream_));
    check_cuda(cudaEventRecord(slot.done, stream_));
    if (pending.slot != nullptr) finish(pending);
    pending = {&slot, at, part};
  }
  if (pending.slot != nullptr) finish(pending);
}

void Uploader::stage(const void* source, std::size_t bytes, const std::function<void(void*)>& use) {
  assert(bytes <= kSlotBytes);
  Slot& slot = next_slot();
  if (slot.device == nullptr) check_cuda(cudaMalloc(&slot.device, kSlotBytes));
  std::memcpy(slot.host, source, bytes);
  check_cuda(cudaMemcpyAsync(slot.device, slot.host, bytes, cudaMemcpyHostToDevice, stream_));
  use(slot.device);
  check_cuda(cudaEventRecord(slot.done, stream_));
}

}  // namespace zimage::cuda
