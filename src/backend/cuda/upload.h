// Between host memory and the device through two pinned blocks: while one is on its way, the other
// is filled or emptied.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <functional>

namespace zimage::cuda {

class Uploader {
 public:
  static constexpr std::size_t kSlotBytes = std::size_t{8} << 20;
  static constexpr std::size_t kDeviceBytes = 2 * kSlotBytes;  // the most it takes on the device

  explicit Uploader(cudaStream_t stream) : stream_(stream) {}
  ~Uploader();
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;

  // Enqueues a copy of `bytes` bytes; `source` may be reused when the call returns.
  void copy(void* target, const void* source, std::size_t bytes);

  // Copies `bytes` bytes of device memory to `target` and waits until they are there.
  void fetch(void* target, const void* source, std::size_t bytes);

  // Copies up to kSlotBytes to device memory of the uploader's own and calls `use` with its
  // address; what `use` enqueues on the stream may read it.
  void stage(const void* source, std::size_t bytes, const std::function<void(void*)>& use);

 private:
  struct Slot {
    void* host = nullptr;
    void* device = nullptr;
    cudaEvent_t done = nullptr;
  };
  Slot& next_slot();

  cudaStream_t stream_;
  std::array<Slot, 2> slots_;
  std::size_t turn_ = 0;
};

}  // namespace zimage::cuda
