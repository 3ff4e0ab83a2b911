// The memory of a pipeline's activations, and the arena in it.
#pragma once

#include <cstddef>

#include "backend/backend.h"
#include "base/arena.h"

namespace zimage {

class Activations {
 public:
  // `backend` must outlive this.
  explicit Activations(Backend& backend) : backend_(backend) {}

  Arena& arena() { return arena_; }
  // Makes sure of `bytes`. Nothing may be in use. Throws OutOfMemory.
  void reserve(std::size_t bytes) {
    if (bytes <= memory_.bytes()) return;
    release();
    memory_ = backend_.allocate(bytes);
    arena_.move_to(memory_.data(), bytes);
  }
  // Gives the memory back. Nothing may be in use.
  void release() {
    arena_.move_to(nullptr, 0);
    memory_ = Buffer();
  }

 private:
  Backend& backend_;
  Buffer memory_;
  Arena arena_;
};

}  // namespace zimage
