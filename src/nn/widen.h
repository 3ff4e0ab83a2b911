// Quantized tensors to plain numbers that backends load: matrices and kernels to bf16, rounded to
// nearest (exact for fp8 without a scale, whose numbers bf16 holds), vectors to f32.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "base/host_tensor.h"

namespace zimage {

// The plain tensors of a list, in its order: views of what is plain, and copies of what was
// quantized. Owns the copies.
class WidenedTensors {
 public:
  // For loads of `backend` into `slab`. Where these read no number, none is computed.
  WidenedTensors(std::span<const HostTensor> parts, const Backend& backend, const Arena& slab);

  std::span<const Tensor> tensors() const { return tensors_; }
  // Waits until `backend` has read the copies, which then may go; does not wait where there are
  // none.
  void wait_for(Backend& backend) const;

 private:
  std::vector<Tensor> tensors_;
  std::vector<std::unique_ptr<std::byte[]>> copies_;
};

// The type that a tensor is widened to; its own for plain numbers.
DType widened_dtype(const HostTensor& tensor);

// All numbers of a quantized `tensor` to `out`, of widened_dtype() elements; on several threads
// when there are many.
void widen(void* out, const HostTensor& tensor);

}  // namespace zimage
