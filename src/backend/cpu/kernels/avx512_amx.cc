// The products of words compiled for the matrix unit (AMX) beside AVX-512; CMakeLists.txt gives
// this file its flags.
#if defined(__x86_64__)
#define ZIMAGE_CPU_LANES 16
#define ZIMAGE_CPU_ISA avx512_amx
#define ZIMAGE_CPU_AMX
#include "backend/cpu/kernels/dot_kernels.h"

namespace zimage::cpu {

const DotKernels& avx512_amx_kernels() {
  static constexpr DotKernels kTable = avx512_amx::make_dot_table(true, true);
  return kTable;
}

}  // namespace zimage::cpu
#endif
