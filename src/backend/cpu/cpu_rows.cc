// Norms, rotation and element-wise operations: rows shared out over the threads.
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/parallel.h"
#include "base/error.h"

namespace zimage {
namespace {

// Elements below which another thread costs more than it saves.
constexpr std::size_t kGrain = 16384;

std::size_t as_size(std::int64_t extent) {
  return static_cast<std::size_t>(extent);
}

const float* floats_or_null(const Tensor& tensor) {
  return tensor.empty() ? nullptr : tensor.as<float>();
}

// body(begin, end) for ranges of the rows of `x`.
template <class Body>
void each_rows(int threads, const Tensor& x, const Body& body) {
  const std::size_t dim = std::max<std::size_t>(as_size(x.dim(1)), 1);
  cpu::parallel_ranges(threads, as_size(x.dim(0)), kGrain / dim + 1, body);
}

}  // namespace

void CpuBackend::do_rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                             const NormArgs& args) {
  const std::size_t dim = as_size(x.dim(1));
  each_rows(threads_, x, [&](std::size_t begin, std::size_t end) {
    row_kernels_.rms_norm({.out = out.as<float>() + begin * dim,
                           .x = x.as<float>() + begin * dim,
                           .weight = weight.as<float>(),
                           .scale = floats_or_null(args.scale),
                           .rows = end - begin,
                           .dim = dim,
                           .eps = args.eps});
  });
}

void CpuBackend::do_layer_norm(const Tensor& out, const Tensor& x, const NormArgs& args) {
  const std::size_t dim = as_size(x.dim(1));
  each_rows(threads_, x, [&](std::size_t begin, std::size_t end) {
    row_kernels_.layer_norm({.out = out.as<float>() + begin * dim,
                             .x = x.as<float>() + begin * dim,
                             .scale = floats_or_null(args.scale),
                             .rows = end - begin,
                             .dim = dim,
                             .eps = args.eps});
  });
}

void CpuBackend::do_add_gated_rms_norm(const Tensor& x, const Tensor& y, const Tensor& weight,
                                       const GatedNormArgs& args) {
  const std::size_t dim = as_size(x.dim(1));
  each_rows(threads_, x, [&](std::size_t begin, std::size_t end) {
    row_kernels_.add_gated_rms_norm({.x = x.as<float>() + begin * dim,
                                     .y = y.as<float>() + begin * dim,
                                     .weight = weight.as<float>(),
                                     .gate = floats_or_null(args.gate),
                                     .rows = end - begin,
                                     .dim = dim,
                                     .eps = args.eps});
  });
}

void CpuBackend::do_qk_norm_rope(const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
                                 const RopeArgs& args) {
  const std::size_t stride = as_size(qkv.dim(1));
  const std::size_t head_dim = stride / as_size(args.heads + 2 * args.kv_heads);
  each_rows(threads_, qkv, [&](std::size_t begin, std::size_t end) {
    row_kernels_.qk_norm_rope({.qkv = qkv.as<float>() + begin * stride,
                               .q_norm = q_norm.as<float>(),
                               .k_norm = k_norm.as<float>(),
                               .cos_sin = args.cos_sin.as<float>() + begin * head_dim,
                               .rows = end - begin,
                               .stride = stride,
                               .heads = as_size(args.heads),
                               .kv_heads = as_size(args.kv_heads),
                               .head_dim = head_dim,
                               .eps = args.eps,
                               .interleaved = args.pairing == Pairing::Interleaved});
  });
}

void CpuBackend::do_silu(const Tensor& x) {
  cpu::parallel_ranges(threads_, as_size(x.elements()), kGrain,
                       [&](std::size_t begin, std::size_t end) {
                         row_kernels_.silu(x.as<float>() + begin, end - begin);
                       });
}

void CpuBackend::do_add_scaled(const Tensor& x, const Tensor& y, float factor) {
  cpu::parallel_ranges(
      threads_, as_size(x.elements()), kGrain, [&](std::size_t begin, std::size_t end) {
        row_kernels_.add_scaled(x.as<float>() + begin, y.as<float>() + begin, factor, end - begin);
      });
}

// Activations are f32, so a cast is a copy.
void CpuBackend::do_cast(const Tensor& out, const Tensor& x) {
  do_copy(out, x);
}

void CpuBackend::do_fill_rows(const Tensor& out, const Tensor& row) {
  each_rows(threads_, out, [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      std::memcpy(out.as<float>() + r * as_size(out.dim(1)), row.data, row.bytes());
    }
  });
}

}  // namespace zimage
