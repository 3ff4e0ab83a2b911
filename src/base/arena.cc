// Bump allocation with a high-water mark.
#include "base/arena.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace zimage {
namespace {

// Measured tensors need addresses that are distinct and not null; nobody reads through them.
constexpr std::uintptr_t kMeasuringBase = std::uintptr_t{1} << 40;

}  // namespace

void* Arena::allocate(std::size_t bytes) {
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (!measuring() && rounded > capacity_ - used_) {
    throw Error(ErrorCode::OutOfMemory, "arena: " + std::to_string(rounded) + " bytes asked for, " +
                                            std::to_string(capacity_ - used_) + " of " +
                                            std::to_string(capacity_) + " are left");
  }
  const std::size_t offset = used_;
  used_ += rounded;
  peak_ = std::max(peak_, used_);
  if (measuring()) return reinterpret_cast<void*>(kMeasuringBase + offset);  // NOLINT(performance-no-int-to-ptr): never dereferenced
  return base_ + offset;
}

Tensor Arena::make(DType dtype, const Shape& shape) {
  return {allocate(static_cast<std::size_t>(shape.elements()) * size_of(dtype)), dtype, shape};
}

}  // namespace zimage
