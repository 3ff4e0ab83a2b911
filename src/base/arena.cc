// Bump allocation with a high-water mark.
#include "base/arena.h"

#include <algorithm>
#include <cassert>
#include <string>

#include "base/error.h"

namespace zimage {
namespace {

// Measured tensors need addresses that are distinct and not null; nobody reads through them.
constexpr std::uintptr_t kMeasuringBase = std::uintptr_t{1} << 40;

// Far above any memory; sums below it do not overflow.
constexpr std::size_t kMaxBytes = std::size_t{1} << 60;

}  // namespace

void* Arena::allocate(std::size_t bytes) {
  if (bytes > kMaxBytes - used_) {
    throw Error(ErrorCode::OutOfMemory,
                "arena: " + std::to_string(bytes) + " bytes asked for, more than any memory has");
  }
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (!measuring() && rounded > capacity_ - used_) {
    throw Error(ErrorCode::OutOfMemory, "arena: " + std::to_string(rounded) + " bytes asked for, " +
                                            std::to_string(capacity_ - used_) + " of " +
                                            std::to_string(capacity_) + " are left");
  }
  const std::size_t offset = used_;
  used_ += rounded;
  peak_ = std::max(peak_, used_);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): never dereferenced
  if (base_ == nullptr) return reinterpret_cast<void*>(kMeasuringBase + offset);
  return base_ + offset;
}

void Arena::move_to(void* base, std::size_t capacity) {
  assert(used_ == 0);
  base_ = static_cast<std::byte*>(base);
  capacity_ = capacity;
  measuring_ = base == nullptr;
}

Tensor Arena::make(DType dtype, const Shape& shape) {
  std::size_t bytes = size_of(dtype);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (__builtin_mul_overflow(bytes, shape[axis], &bytes)) {
      bytes = kMaxBytes + 1;
      break;
    }
  }
  return {allocate(bytes), dtype, shape};
}

}  // namespace zimage
