// The kernels compiled for AVX2; CMakeLists.txt gives this file its flags.
#if defined(__x86_64__)
#define ZIMAGE_CPU_LANES 8
#include "backend/cpu/kernels/kernels_table.h"

namespace zimage::cpu {

const Kernels& avx2_kernels() {
  static constexpr Kernels kTable = avx2::make_table("AVX2");
  return kTable;
}

}  // namespace zimage::cpu
#endif
