// The CPU kernels as a table of functions, one table for each instruction set in the program. What
// enters: raw pointers and extents; what leaves: numbers in the caller's memory. A kernel uses one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zimage::cpu {

struct Kernels {
  const char* name;  // "AVX-512", "AVX2", "portable"
  int lanes;         // floats in a vector
};

// One of each kernels_<isa>.cc. The first two exist on x86-64 only.
const Kernels& avx512_kernels();
const Kernels& avx2_kernels();
const Kernels& portable_kernels();

}  // namespace zimage::cpu
