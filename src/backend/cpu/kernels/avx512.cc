// The kernels compiled for AVX-512; CMakeLists.txt gives this file its flags.
#if defined(__x86_64__)
#define ZIMAGE_CPU_LANES 16
#include "backend/cpu/kernels/kernels_table.h"

namespace zimage::cpu {

const Kernels& avx512_kernels() {
  static constexpr Kernels kTable = avx512::make_table("AVX-512");
  return kTable;
}

}  // namespace zimage::cpu
#endif
