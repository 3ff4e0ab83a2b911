// The products of words compiled for AVX-512 with VNNI and BF16; CMakeLists.txt gives this file its
// flags.
#if defined(__x86_64__)
#define ZIMAGE_CPU_LANES 16
#define ZIMAGE_CPU_ISA avx512_bf16
#include "backend/cpu/kernels/dot_kernels.h"

namespace zimage::cpu {

const DotKernels& avx512_bf16_kernels() {
  static constexpr DotKernels kTable = avx512_bf16::make_dot_table(true, true);
  return kTable;
}

}  // namespace zimage::cpu
#endif
