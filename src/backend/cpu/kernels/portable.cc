// The kernels compiled for portable; CMakeLists.txt gives this file its flags.
#define ZIMAGE_CPU_LANES 4
#include "backend/cpu/kernels/kernels_table.h"

namespace zimage::cpu {

const Kernels& portable_kernels() {
  static constexpr Kernels kTable = portable::make_table("portable");
  return kTable;
}

}  // namespace zimage::cpu
