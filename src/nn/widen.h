// Quantized tensors to plain numbers that backends load: matrices and kernels to bf16, rounded to
// nearest (exact for fp8 without a scale, whose numbers bf16 holds), vectors to f32. Matrices of
// f32 to bf16, where that is asked for. What lies at odd addresses moves to even ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "base/host_tensor.h"
#include "base/page_memory.h"

namespace zimage {

// What becomes of f32 numbers.
enum class WideNumbers : std::uint8_t {
  Kept,
  ToBf16,  // rounded to nearest
};

// The plain tensors of a list, in its order: views of what is plain and aligned, and copies of the
// rest. Owns the copies.
class WidenedTensors {
 public:
  // For loads of `backend` into `slab`. Where these read no number, none is computed.
  WidenedTensors(std::span<const HostTensor> parts, const Backend& backend, const Arena& slab,
                 WideNumbers wide = WideNumbers::Kept);

  std::span<const Tensor> tensors() const { return tensors_; }
  // Bytes of the tensors that are no views, copied or not.
  std::size_t converted_bytes() const { return converted_bytes_; }
  // How many f32 numbers were none of bf16's, and had to be rounded.
  std::int64_t rounded() const { return rounded_; }
  // Waits until `backend` has read the copies, which then may go; does not wait where there are
  // none.
  void wait_for(Backend& backend) const;

 private:
  std::vector<Tensor> tensors_;
  std::vector<PageMemory> copies_;
  std::size_t converted_bytes_ = 0;
  std::int64_t rounded_ = 0;
};

// All numbers of `tensor` to `out`, of `dtype`, which is F32 or BF16; on several threads when there
// are many. Gives how many f32 numbers were rounded.
std::int64_t convert(void* out, DType dtype, const HostTensor& tensor);

}  // namespace zimage
