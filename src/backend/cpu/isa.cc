// The choice of kernels by what the processor reports.
#include "backend/cpu/isa.h"

#include <algorithm>
#include <string>

#include "base/error.h"

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
// The AVX-512 kernels with the products of words that this processor has instructions for.
Kernels best_avx512_kernels() {
  Kernels kernels = avx512_kernels();
  if (__builtin_cpu_supports("avx512vnni") == 0) return kernels;
  const bool bf16 = __builtin_cpu_supports("avx512bf16") != 0;
  kernels.name = bf16 ? "AVX-512 with VNNI and BF16" : "AVX-512 with VNNI";
  kernels.dot = bf16 ? avx512_bf16_kernels() : avx512_vnni_kernels();
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
