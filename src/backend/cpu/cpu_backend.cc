// Memory, threads and scratch of the CPU backend.
#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "backend/cpu/conv3x3.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/peak.h"
#include "base/error.h"
#include "base/log.h"
#include "base/page_memory.h"

namespace zimage {

cpu::PanelFormat cpu::fast_format(const Kernels& kernels) {
  return kernels.dot.has_int8 ? PanelFormat::Int8 : PanelFormat::Int16;
}

namespace {

using cpu::PanelFormat;

// Blocks from this size on are mappings of their own, which leave the process when they are freed:
// an allocator keeps some of them for itself.
constexpr std::size_t kMappedBlock = std::size_t{128} << 10;

// Elements below which another thread costs more than it saves.
constexpr std::size_t kGrain = 16384;

// To be raised with every change of the bytes that loads write: files of weights outlive programs.
// CpuBackend.LoadedWeightsAreTheBytesOfTheirLayout holds them.
constexpr int kWeightLayout = 2;

int resolve_threads(int threads) {
  if (threads < 0) {
    throw Error(ErrorCode::InvalidArgument,
                "threads is " + std::to_string(threads) + ", expected 0 (all) or more");
  }
  return threads == 0 ? cpu::usable_processors() : threads;
}

}  // namespace

CpuBackend::CpuBackend(const CpuOptions& options)
    : threads_(resolve_threads(options.threads)),
      choice_(options.kernels ? *options.kernels : cpu::choose_kernels(options.isa)),
      kernels_(cpu::kernels_of(choice_.products)),
      attention_kernels_(cpu::kernels_of(choice_.attention)),
      conv_kernels_(cpu::kernels_of(choice_.convolutions)),
      row_kernels_(cpu::kernels_of(choice_.rows)),
      fast_(options.fast.value_or(cpu::fast_format(kernels_))),
      emulates_bf16_(options.fast.has_value()) {}

CpuBackend::~CpuBackend() {
  CpuBackend::do_free(scratch_, scratch_bytes_);
}

std::string CpuBackend::description() const {
  return "cpu: " + to_string(choice_) + ", " + std::to_string(threads_) +
         (threads_ == 1 ? " thread" : " threads");
}

std::string CpuBackend::weight_layout() const {
  return std::string("cpu ") + kernels_.name + " " + std::to_string(kWeightLayout);
}

void* CpuBackend::do_allocate(std::size_t bytes) {
  if (bytes >= kMappedBlock) return map_pages(bytes);
  constexpr std::size_t kUnit = Arena::kAlignment;
  const std::size_t units = std::max<std::size_t>((bytes + kUnit - 1) / kUnit, 1);
  void* data = std::aligned_alloc(kUnit, units * kUnit);
  if (data == nullptr) {
    throw Error(ErrorCode::OutOfMemory, "cannot allocate " + std::to_string(bytes) + " bytes");
  }
  return data;
}

void CpuBackend::do_free(void* data, std::size_t bytes) noexcept {
  if (bytes < kMappedBlock) {
    std::free(data);
  } else if (data != nullptr) {
    unmap_pages(data, bytes);
  }
}

std::size_t CpuBackend::scratch_bytes(ScratchOp op, const Tensor& out, const Tensor& x,
                                      const Weight& weight) const {
  switch (op) {
    case ScratchOp::Linear:
    case ScratchOp::Swiglu: return product_scratch(x.dim(0), weight);
    case ScratchOp::Attention: return attention_scratch(out);
    case ScratchOp::Conv2d:
      // An upsampled 1x1 convolution multiplies a row at a time, which needs no more than all rows.
      if (weight.kernel == 1) return product_scratch(x.dim(0) * x.dim(1), weight);
      return weight.kernel == 3 ? cpu::conv3x3_scratch_bytes(weight.out, weight.in, threads_) : 0;
    case ScratchOp::GroupNorm: return group_norm_scratch(x);
  }
  return 0;
}

void CpuBackend::reserve_scratch(std::size_t bytes) {
  need_scratch(bytes);
}

Rates CpuBackend::measure_rates() {
  Rates rates = cpu::measure_peaks(kernels_, threads_);
  if (rounding_ != Encoding::Plain) {
    const PanelFormat format = rounding_ == Encoding::Fast ? fast_ : PanelFormat::Bf16Pairs;
    rates.encoded = cpu::measure_dot(kernels_, format, threads_, 40);
  }
  return rates;
}

void CpuBackend::set_encoding(Encoding encoding) {
  if (encoding == Encoding::Fp8) return ReferenceBackend::set_encoding(encoding);
  if (encoding == Encoding::Bf16 && !kernels_.dot.has_bf16 && !emulates_bf16_) {
    throw Error(ErrorCode::Unsupported,
                "precision bf16: this processor has no instructions for products of bf16 "
                "(AVX512_BF16); use exact or fast");
  }
  if (encoding == Encoding::Bf16 && !knows_bf16_rate_) warn_of_slow_bf16();
  encoding_ = encoding;
  if (encoding != Encoding::Plain) rounding_ = encoding;
}

// Some processors have the instructions and run them at half the rate of f32.
void CpuBackend::warn_of_slow_bf16() {
  knows_bf16_rate_ = true;
  constexpr int kBursts = 4;
  const double pairs = cpu::measure_dot(kernels_, PanelFormat::Bf16Pairs, 1, kBursts);
  const double exact = cpu::measure_fma(kernels_, 1, kBursts);
  if (pairs > exact) return;
  log(LogLevel::Warning,
      "precision bf16: this processor multiplies bf16 at " +
          std::to_string(static_cast<int>(100 * pairs / exact)) +
          " % of the rate of float32: exact is faster and closer, fast faster still");
}

void CpuBackend::need_scratch(std::size_t bytes) {
  if (bytes <= scratch_bytes_) return;
  do_free(scratch_, scratch_bytes_);
  scratch_ = nullptr;
  scratch_bytes_ = 0;
  scratch_ = static_cast<std::byte*>(do_allocate(bytes));
  scratch_bytes_ = bytes;
}

void CpuBackend::do_copy(const Tensor& out, const Tensor& x) {
  cpu::parallel_ranges(threads_, x.bytes(), kGrain * sizeof(float),
                       [&](std::size_t begin, std::size_t end) {
                         std::memcpy(static_cast<std::byte*>(out.data) + begin,
                                     static_cast<const std::byte*>(x.data) + begin, end - begin);
                       });
}

}  // namespace zimage
