// Weights of any model without a file, for measurements.
#pragma once

#include <cstdint>
#include <list>
#include <string>

#include "base/repeated_memory.h"
#include "nn/tensor_source.h"

namespace zimage {

// bf16 matrices of normal numbers with variance 1 / columns, so that activations keep their size,
// and vectors near one. Equal names and shapes give equal numbers. The numbers of one width repeat
// after about half a million, and take memory as mapped files do: while somebody reads them.
class RandomSource final : public TensorSource {
 public:
  HostTensor tensor(const std::string& name, const Shape& shape) override;
  void evict(const Tensor& tensor) override;
  void evict_all() override;

 private:
  // Tensors of one width share a pool, each from an offset of its own.
  struct Pool {
    std::int64_t columns;  // 0 for vectors
    RepeatedMemory memory;
  };
  // A pool never grows, since views point into it: what does not fit gets another.
  std::list<Pool> pools_;
};

}  // namespace zimage
