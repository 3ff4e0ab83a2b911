// The choice of kernels by what the processor reports.
#include "backend/cpu/isa.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace zimage::cpu {
namespace {

bool has(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::Avx512:
      return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
             __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
    // Every processor with AVX2 and FMA converts half floats too.
    case Isa::Avx2:
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#else
    case Isa::Avx512:
    case Isa::Avx2: return false;
#endif
    case Isa::Best:
    case Isa::Portable: return true;
  }
  return false;
}

#if defined(__x86_64__)
// Whether the processor has a matrix unit for bytes and bf16, and the system lets this process use
// it: its registers are so large that they have to be asked for, once, before the first use.
bool may_use_matrix_unit() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned features = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &features) == 0) return false;
  constexpr unsigned kBf16 = 1U << 22U;
  constexpr unsigned kTiles = 1U << 24U;
  constexpr unsigned kInt8 = 1U << 25U;
  constexpr unsigned kAll = kBf16 | kTiles | kInt8;
  if ((features & kAll) != kAll) return false;
  // Linux: ARCH_REQ_XCOMP_PERM for XFEATURE_XTILEDATA, for all threads (asm/prctl.h, since 5.16).
  constexpr int kRequestPermission = 0x1023;
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// The AVX-512 kernels with the products of words that this processor has instructions for.
Kernels best_avx512_kernels() {
  Kernels kernels = avx512_kernels();
  if (__builtin_cpu_supports("avx512vnni") == 0) return kernels;
  kernels.name = "AVX-512 with VNNI";
  kernels.dot = avx512_vnni_kernels();
  if (__builtin_cpu_supports("avx512bf16") == 0) return kernels;
  kernels.name = "AVX-512 with VNNI and BF16";
  kernels.dot = avx512_bf16_kernels();
  if (!may_use_matrix_unit()) return kernels;
  kernels.name = "AVX-512 with VNNI, BF16 and AMX";
  kernels.dot = avx512_amx_kernels();
  return kernels;
}
#endif

}  // namespace

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::Best: return "best";
    case Isa::Avx512: return "avx512";
    case Isa::Avx2: return "avx2";
    case Isa::Portable: return "portable";
  }
  return "?";
}

Isa isa_from_name(std::string_view name) {
  for (const Isa isa : {Isa::Best, Isa::Avx512, Isa::Avx2, Isa::Portable}) {
    if (name == name_of(isa)) return isa;
  }
  throw Error(ErrorCode::InvalidArgument, "CPU kernel is \"" + std::string(name) +
                                              "\", expected best, avx512, avx2 or portable");
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::Avx512, Isa::Avx2, Isa::Portable}) {
    if (has(isa)) isas.push_back(isa);
  }
  return isas;
}

const Kernels& kernels_of(Isa isa) {
  if (isa == Isa::Best) isa = available_isas().front();
  if (!has(isa)) {
    std::string others = "best";
    for (const Isa other : available_isas()) {
      others += other == Isa::Portable ? " or " : ", ";  // which is the last
      others += name_of(other);
    }
    throw Error(ErrorCode::Unsupported, "CPU kernel \"" + std::string(name_of(isa)) +
                                            "\": this processor does not have its instructions, "
                                            "expected " +
                                            others);
  }
#if defined(__x86_64__)
  if (isa == Isa::Avx512) {
    static const Kernels kKernels = best_avx512_kernels();
    return kKernels;
  }
  if (isa == Isa::Avx2) return avx2_kernels();
#endif
  return portable_kernels();
}

// Intel's cores have two ports for 512-bit vectors, and a shift or mask of a panel takes the place
// of a multiply-add on them: 2 for every 24 of a tile. AMD's have other ports for those.
bool widens_first(Isa isa) {
#if defined(__x86_64__)
  return isa == Isa::Avx512 && __builtin_cpu_is("intel") != 0;
#else
  static_cast<void>(isa);
  return false;
#endif
}

}  // namespace zimage::cpu
