// Assembles the kernels of one instruction set; included by kernels/<isa>.cc only.
#pragma once

#include "backend/cpu/kernels/attention_kernels.h"
#include "backend/cpu/kernels/conv3x3_direct.h"
#include "backend/cpu/kernels/conv3x3_winograd.h"
#include "backend/cpu/kernels/dot_kernels.h"
#include "backend/cpu/kernels/gemm_kernels.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/map_kernels.h"
#include "backend/cpu/kernels/pack_kernels.h"
#include "backend/cpu/kernels/row_kernels.h"
#include "backend/cpu/kernels/simd.h"

namespace zimage::cpu::ZIMAGE_CPU_ISA {

constexpr Kernels make_table(const char* name) {
  return {
      .name = name,
      .lanes = kLanes,
      .tile_rows = kTileRows,
      .pack_panel = pack_panel,
      .gemm = gemm,
      .gemm_scratch = gemm_scratch,
      .dot = make_dot_table(false, false),
      .attention = attention,
      .attention_scratch = attention_scratch,
      .rms_norm = rms_norm,
      .layer_norm = layer_norm,
      .add_gated_rms_norm = add_gated_rms_norm,
      .qk_norm_rope = qk_norm_rope,
      .silu = silu_in_place,
      .add_scaled = add_scaled,
      .group_stats = group_stats,
      .group_apply = group_apply,
      .conv3x3 = {.winograd = winograd_block, .direct = direct_row},
      .fma_burst = fma_burst,
      .read_sum = read_sum,
  };
}

}  // namespace zimage::cpu::ZIMAGE_CPU_ISA
