// Operations go through backends that are told their kernels, so that what is timed is what is
// used.
#include "backend/cpu/kernel_timing.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/arena.h"
#include "base/float16.h"

namespace zimage::cpu {
namespace {

using Clock = std::chrono::steady_clock;

// About a millisecond each on one thread. The rows are those of a 192x192 picture and its prompt,
// the heads the transformer's, the map the decoder's. Columns are as few as give a kernel its full
// speed.
constexpr std::int64_t kRows = 144;
constexpr std::int64_t kDepth = 960;
constexpr std::int64_t kColumns = 256;
constexpr std::int64_t kAttentionRows = 384;
constexpr std::int64_t kHeadDim = 128;
constexpr std::int64_t kSide = 32;
constexpr std::int64_t kChannels = 128;

}  // namespace

class KernelTiming::Operands {
 public:
  Operands() : kernel_(load_kernel()) {}

  void run(const KernelRun& run) {
    Place& place = place_of(run);
    switch (run.use) {
      case KernelUse::Products: return place.backend.linear(out_, x_, place.matrix);
      case KernelUse::Attention:
        return place.backend.attention(mixed_, qkv_, {.heads = 1, .kv_heads = 1, .scale = 0.09F});
      case KernelUse::Convolutions: return place.backend.conv2d(map_out_, map_, kernel_, {});
      case KernelUse::Rows:
        place.backend.rms_norm(normed_, x_, ones_.rows(0, kDepth), {.eps = 1e-6F});
        return place.backend.group_norm(
            map_out_, map_, ones_.rows(0, kChannels), ones_.rows(0, kChannels),
            {.groups = 32, .eps = 1e-6F, .activation = Activation::Silu});
    }
  }

  // Loads what it needs.
  void prepare(const KernelRun& run) { place_of(run); }

 private:
  // A backend of one instruction set, and the matrix in its panels.
  struct Place {
    CpuBackend backend;
    Buffer slab;
    Weight matrix;

    Place(const KernelChoice& kernels, const Tensor& rows)
        : backend({.threads = 1, .kernels = kernels}) {
      Arena measure;
      backend.load_matrix(measure, {&rows, 1}, MatrixRole::Linear);
      slab = backend.allocate(measure.used());
      Arena arena(slab.data(), measure.used());
      matrix = backend.load_matrix(arena, {&rows, 1}, MatrixRole::Linear);
    }
  };

  Place& place_of(const KernelRun& run) {
    KernelChoice kernels = only(run.isa);
    kernels.widen = run.widen;
    return places_.try_emplace({run.isa, run.widen}, kernels, rows_).first->second;
  }

  // Numbers about 1 that no operation makes denormal, in memory that lives as long as this.
  Tensor tensor(DType dtype, const Shape& shape) {
    Tensor made{nullptr, dtype, shape};
    made.data = memory_.emplace_back(backend_.allocate(made.bytes())).data();
    std::uint32_t state = 1;
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      state = state * 1664525 + 1013904223;
      const float number = 0.5F + static_cast<float>(state >> 8) * 0x1p-24F;
      if (dtype == DType::F32) {
        made.as<float>()[i] = number;
      } else {
        made.as<std::uint16_t>()[i] = float_to_bf16(number);
      }
    }
    return made;
  }

  // The layout is that of every instruction set.
  Weight load_kernel() {
    const Tensor stored = tensor(DType::F32, {kChannels, kChannels, 3, 3});
    Arena measure;
    backend_.load_kernel(measure, stored);
    Arena arena(memory_.emplace_back(backend_.allocate(measure.used())).data(), measure.used());
    return backend_.load_kernel(arena, stored);
  }

  CpuBackend backend_{{.threads = 1, .isa = Isa::Portable}};
  std::vector<Buffer> memory_;
  Tensor rows_ = tensor(DType::BF16, {kColumns, kDepth});
  Tensor x_ = tensor(DType::F32, {kRows, kDepth});
  Tensor normed_ = tensor(DType::F32, {kRows, kDepth});
  Tensor out_ = tensor(DType::F32, {kRows, kColumns});
  Tensor qkv_ = tensor(DType::F32, {kAttentionRows, 3 * kHeadDim});
  Tensor mixed_ = tensor(DType::F32, {kAttentionRows, kHeadDim});
  Tensor map_ = tensor(DType::F32, {kSide, kSide, kChannels});
  Tensor map_out_ = tensor(DType::F32, {kSide, kSide, kChannels});
  Tensor ones_ = tensor(DType::F32, {kDepth});
  Weight kernel_;
  std::map<std::pair<Isa, bool>, Place> places_;
};

KernelTiming::KernelTiming() : operands_(std::make_unique<Operands>()) {}
KernelTiming::~KernelTiming() = default;

double KernelTiming::seconds(const KernelRun& run) {
  operands_->prepare(run);
  const Clock::time_point start = Clock::now();
  operands_->run(run);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace zimage::cpu
