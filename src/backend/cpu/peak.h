// What this machine can do, measured in the process that reports shares of it.
#pragma once

#include "backend/cpu/kernels.h"

namespace zimage::cpu {

struct Peaks {
  double fma_flops = 0;   // f32 multiply-adds a second times two, all threads
  double read_bytes = 0;  // read from memory a second, all threads
};

// The best of several short runs of all threads at once, about 0.1 s and 64 MiB a thread in all. On
// a machine that does other work at the time the figures are lower than the machine's.
Peaks measure_peaks(const Kernels& kernels, int threads);

}  // namespace zimage::cpu
