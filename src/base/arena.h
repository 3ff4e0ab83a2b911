// Stack allocation out of one block of memory that somebody else owns. Activations come from it,
// and so do a module's weights. Measuring mode hands out addresses without memory, so running a
// model on the plan backend tells exactly how many bytes the same run will use.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor.h"

namespace zimage {

class Arena {
 public:
  // Every block starts at a multiple of this: enough for AVX-512 loads, CUDA vector loads and TMA.
  static constexpr std::size_t kAlignment = 256;

  // Measuring mode: no memory, no limit.
  Arena() = default;
  // Hands out `capacity` bytes at `base`, which must outlive the arena and be kAlignment-aligned.
  Arena(void* base, std::size_t capacity)
      : base_(static_cast<std::byte*>(base)), capacity_(capacity), measuring_(base == nullptr) {}
  // Measuring mode with the addresses that an arena at `base` would hand out: tells where things
  // lie in memory that has been filled before.
  static Arena measuring_at(void* base) { return Arena(base); }

  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Goes on in other memory, as the constructor takes it; the peak stays. Precondition: nothing is
  // in use.
  void move_to(void* base, std::size_t capacity);

  bool measuring() const { return measuring_; }
  std::size_t used() const { return used_; }
  // The most bytes in use at once since construction or the last reset_peak().
  std::size_t peak() const { return peak_; }
  void reset_peak() { peak_ = used_; }

  // `bytes` bytes, rounded up to kAlignment; given back when the enclosing Frame ends.
  // Throws OutOfMemory when the block is exhausted: the plan and the run disagree.
  void* allocate(std::size_t bytes);
  Tensor make(DType dtype, const Shape& shape);

  // Gives back everything that was allocated during its life.
  class Frame {
   public:
    explicit Frame(Arena& arena) : arena_(arena), mark_(arena.used_) {}
    ~Frame() { arena_.used_ = mark_; }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

    Tensor make(DType dtype, const Shape& shape) { return arena_.make(dtype, shape); }

   private:
    Arena& arena_;
    std::size_t mark_;
  };

 private:
  explicit Arena(void* base) : base_(static_cast<std::byte*>(base)) {}

  std::byte* base_ = nullptr;  // null while measuring at no particular place
  std::size_t capacity_ = 0;
  bool measuring_ = true;
  std::size_t used_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace zimage
