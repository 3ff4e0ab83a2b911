// Which kernels compute each kind of operation: those that the caller forces, or the fastest of a
// measurement of some tens of milliseconds. What was measured is kept in a file, so that one
// machine computes the same bytes in every run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "backend/cpu/isa.h"

namespace zimage::cpu {

// Kinds of operations whose kernels may differ. Weights of products lie in panels of their kernels'
// lanes, those of convolutions lie the same for all, and activations have one layout.
enum class KernelUse : std::uint8_t {
  Products,  // linear, swiglu and 1x1 convolutions
  Attention,
  Convolutions,  // 3x3
  Rows,          // norms, rotation, element-wise operations
};

// Never Best.
struct KernelChoice {
  Isa products = Isa::Portable;
  bool widen = false;  // GemmArgs::widen: a matter of speed alone, the bytes are the same
  Isa attention = Isa::Portable;
  Isa convolutions = Isa::Portable;
  Isa rows = Isa::Portable;

  friend bool operator==(const KernelChoice&, const KernelChoice&) = default;
};

// Everything by the kernels of `isa`; Best is the first of available_isas(). Throws Unsupported
// where the processor or the build lacks it.
KernelChoice only(Isa isa);

// "AVX2"; of several kernels "AVX-512 (products, attention), AVX2 (convolutions, rows)".
std::string to_string(const KernelChoice& choice);

// One run of an operation of that kind: of products, with or without GemmArgs::widen.
struct KernelRun {
  KernelUse use = KernelUse::Products;
  Isa isa = Isa::Portable;
  bool widen = false;
};
// The seconds that it took.
using KernelTimer = std::function<double(const KernelRun&)>;

// The fastest of `candidates` for each kind, by the best of several turns in which all runs take
// part. One that comes later replaces an earlier one only where it is clearly faster: candidates
// come in the order of preference. Precondition: at least one; `time` is not called for one.
KernelChoice measure_choice(std::span<const Isa> candidates, const KernelTimer& time);

// What `file` says, where it says something of each kind that is among `candidates`; nothing else.
std::optional<KernelChoice> read_choice(const std::filesystem::path& file,
                                        std::span<const Isa> candidates);

// What `file` says, else what is measured, which the file says from then on if it can be written;
// an empty path stands for no file.
KernelChoice kept_choice(const std::filesystem::path& file, std::span<const Isa> candidates,
                         const KernelTimer& time);

// The kernels of CpuOptions::isa: Best is kept_choice() of every available instruction set but the
// portable one, for this processor and this version, the same for the whole life of the process;
// others are only(isa). Throws as only() does.
KernelChoice choose_kernels(Isa isa);

}  // namespace zimage::cpu
