// One operation of each kind, as large as a picture's but for the columns, timed with the kernels
// that a run names. What enters: a run; what leaves: its seconds, on the calling thread alone, so
// that the choice of kernels does not depend on the number of threads.
#pragma once

#include <memory>

#include "backend/cpu/kernel_choice.h"

namespace zimage::cpu {

class KernelTiming {
 public:
  // Makes the operands: a few MiB and milliseconds.
  KernelTiming();
  ~KernelTiming();

  // Loads what the run's kernels need when they run first.
  double seconds(const KernelRun& run);

 private:
  class Operands;
  std::unique_ptr<Operands> operands_;
};

}  // namespace zimage::cpu
