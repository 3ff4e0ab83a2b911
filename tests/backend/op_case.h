// One operation on two backends: the one under test and the reference, on the same numbers, with
// guard bytes behind every tensor of the former.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "backend/backend.h"
#include "backend/reference/reference_backend.h"

namespace zimage {

class OpCase {
 public:
  explicit OpCase(Backend& backend) : backend_(backend) {}

  // The same value on both backends.
  struct Pair {
    Tensor tested;
    Tensor reference;
  };
  struct WeightPair {
    Weight tested;
    Weight reference;
  };

  // Normal numbers times `deviation`, of the activation type, or of f32. Rounded before either
  // backend sees them.
  Pair activations(const Shape& shape, float deviation = 1.0F);
  Pair vector(const Shape& shape, float mean = 0.0F, float deviation = 1.0F);
  // The given numbers as f32.
  Pair values(const Shape& shape, const std::vector<float>& numbers);
  // Cosine and sine of other angles for each pair of each row, [rows, pairs, 2] f32.
  Pair angles(std::int64_t rows, std::int64_t pairs);
  // Parts of [rows, columns] with variance 1 / columns, stored as `dtype`.
  WeightPair matrix(const std::vector<Shape>& parts, DType dtype,
                    MatrixRole role = MatrixRole::Linear);
  // The same with a type for each part.
  WeightPair matrix(const std::vector<Shape>& parts, const std::vector<DType>& dtypes,
                    MatrixRole role = MatrixRole::Linear);
  WeightPair kernel(const Shape& shape, DType dtype);

  // Calls `op` with each backend and a function that picks that backend's side of a pair.
  class Side {
   public:
    Side(Backend& backend, bool reference) : backend_(backend), reference_(reference) {}
    Backend& backend() const { return backend_; }
    const Tensor& operator()(const Pair& pair) const {
      return reference_ ? pair.reference : pair.tested;
    }
    const Weight& operator()(const WeightPair& pair) const {
      return reference_ ? pair.reference : pair.tested;
    }

   private:
    Backend& backend_;
    bool reference_;
  };
  void run(const std::function<void(const Side&)>& op);

  // sum((tested - reference)^2) / sum(reference^2); infinity when a value is not finite.
  double nmse(const Pair& pair);
  // Whether nothing wrote behind any tensor.
  bool guards_intact();

  // `f32` for backends that compute in f32, `bf16` for those whose activations are bf16.
  double bound(double f32, double bf16) const;

 private:
  struct Guarded {
    Buffer buffer;
    std::size_t bytes;
  };

  std::vector<float> normal(std::int64_t n, float mean, float deviation);
  Pair make(const Shape& shape, DType dtype, const std::vector<float>& numbers);
  std::vector<float> download(const Tensor& tensor);
  // Host bytes of a checkpoint's tensor of `dtype`, kept for the life of the case.
  Tensor host(const Shape& shape, DType dtype, const std::vector<float>& numbers);
  template <typename Load>
  auto load_both(Load load);

  Backend& backend_;
  ReferenceBackend reference_;
  std::mt19937 engine_{42};
  std::vector<Guarded> tested_;
  std::vector<Buffer> reference_buffers_;
  std::vector<std::vector<std::byte>> hosts_;
};

}  // namespace zimage
