// Where a network's host tensors come from: a part of a checkpoint, or random numbers.
#pragma once

#include <cstdint>
#include <list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "checkpoint/checkpoint.h"

namespace zimage {

class TensorSource {
 public:
  TensorSource() = default;
  virtual ~TensorSource() = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;

  // A view of host memory that lives as long as the source. Throws NotFound or InvalidFile (another
  // shape), naming the file and the tensor.
  virtual Tensor tensor(const std::string& name, const Shape& shape) = 0;
  // Declares that tensors whose names begin so are not needed.
  virtual void ignore(std::string_view /*prefix*/) {}
};

// A part of a checkpoint, which must outlive this. Remembers which tensors were asked for.
class CheckpointSource final : public TensorSource {
 public:
  explicit CheckpointSource(const CheckpointPart& part) : part_(part) {}

  Tensor tensor(const std::string& name, const Shape& shape) override;
  void ignore(std::string_view prefix) override { ignored_.emplace_back(prefix); }
  // Throws InvalidFile when the part has tensors that nobody asked for and nobody ignores: a layout
  // that is understood by half must not load.
  void throw_if_unused() const;

 private:
  const CheckpointPart& part_;
  std::set<std::string, std::less<>> used_;
  std::vector<std::string> ignored_;
};

// Weights of any model without a file, for measurements: bf16 matrices of normal numbers with
// variance 1 / columns, so that activations keep their size, and vectors near one. Equal names and
// shapes give equal numbers.
class RandomSource final : public TensorSource {
 public:
  Tensor tensor(const std::string& name, const Shape& shape) override;

 private:
  struct Pool {
    std::int64_t columns;  // 0 for vectors
    std::vector<std::uint16_t> values;
  };
  std::list<Pool> pools_;
};

}  // namespace zimage
