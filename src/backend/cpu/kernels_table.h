// Assembles the kernels of one instruction set; included by kernels_<isa>.cc only.
#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

constexpr Kernels make_table(const char* name) {
  return {
      .name = name,
      .lanes = kLanes,
  };
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
