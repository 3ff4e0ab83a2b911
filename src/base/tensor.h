// A view of contiguous numbers in some memory, the host's or a device's. Owners are Buffer, Arena
// and Checkpoint; a Tensor is copied freely and frees nothing.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/shape.h"

namespace zimage {

struct Tensor {
  void* data = nullptr;  // in the memory of the backend that made it; null means "absent"
  DType dtype = DType::F32;
  Shape shape;

  bool empty() const { return data == nullptr; }
  std::int64_t dim(int axis) const { return shape[axis]; }
  std::int64_t elements() const { return shape.elements(); }
  std::size_t bytes() const { return static_cast<std::size_t>(shape.elements()) * size_of(dtype); }

  // Typed access to host memory. Precondition: T has the size of the dtype.
  template <typename T>
  T* as() const {
    assert(sizeof(T) == size_of(dtype));
    return static_cast<T*>(data);
  }

  // Rows [begin, end) of the outermost axis, sharing memory.
  Tensor rows(std::int64_t begin, std::int64_t end) const {
    assert(shape.rank() >= 1 && 0 <= begin && begin <= end && end <= shape[0]);
    const std::int64_t row = shape[0] == 0 ? 0 : shape.elements() / shape[0];
    std::int64_t extents[Shape::kMaxRank] = {end - begin};
    for (int axis = 1; axis < shape.rank(); ++axis) extents[axis] = shape[axis];
    return {static_cast<std::byte*>(data) + static_cast<std::size_t>(begin * row) * size_of(dtype),
            dtype,
            Shape(std::span<const std::int64_t>(extents, static_cast<std::size_t>(shape.rank())))};
  }

  // Elements [begin, end) of a rank-1 view of everything, sharing memory.
  Tensor slice(std::int64_t begin, std::int64_t end) const {
    assert(0 <= begin && begin <= end && end <= elements());
    return {static_cast<std::byte*>(data) + static_cast<std::size_t>(begin) * size_of(dtype),
            dtype,
            {end - begin}};
  }

  // The same memory under another shape. Precondition: equal element counts.
  Tensor reshaped(const Shape& other) const {
    assert(other.elements() == elements());
    return {data, dtype, other};
  }
};

}  // namespace zimage
