// What this machine can do, measured in the process that reports shares of it.
#pragma once

#include "backend/backend.h"
#include "backend/cpu/kernels/kernels.h"

namespace zimage::cpu {

// f32 multiply-adds a second times two, and bytes read from memory a second, of all threads
// together: the best of several short runs, about 0.2 s and 64 MiB in all. On a machine
// that does other work at the time the figures are lower than the machine's.
Rates measure_peaks(const Kernels& kernels, int threads);

// The first of the two alone, in `bursts` runs of about a millisecond.
double measure_fma(const Kernels& kernels, int threads, int bursts);

// Operations a second (multiplications and additions) of products of words in a dot format, of
// numbers that stay in registers, in `bursts` runs of about a millisecond.
double measure_dot(const Kernels& kernels, PanelFormat format, int threads, int bursts);

}  // namespace zimage::cpu
