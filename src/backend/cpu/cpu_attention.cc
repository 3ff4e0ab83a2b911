// attention: which queries of which head one call of the kernel takes.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/parallel.h"

namespace zimage {
namespace {

using cpu::Kernels;

// Queries that pass over the keys together, so that each key is read from memory once for all of
// them; their panels share the second cache with a block of keys and values.
constexpr std::size_t kGroupBytes = 131072;
constexpr std::size_t kMostPanels = 8;

std::size_t as_size(std::int64_t extent) {
  return static_cast<std::size_t>(extent);
}
std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}
std::size_t align(std::size_t bytes) {
  return ceil_div(bytes, Arena::kAlignment) * Arena::kAlignment;
}

// As many panels as fit, but enough groups to keep every thread busy to the end.
std::size_t choose_group(const Kernels& kernels, std::size_t head_dim, std::size_t panels,
                         std::size_t threads) {
  const std::size_t one = kernels.attention_scratch(head_dim, 1);
  const std::size_t more = kernels.attention_scratch(head_dim, 2) - one;
  const std::size_t fit = std::clamp<std::size_t>(kGroupBytes / more, 1, kMostPanels);
  return threads == 1 ? fit : std::clamp<std::size_t>(panels / (4 * threads), 1, fit);
}

}  // namespace

// The head size is not known here; it is at most the row of `out`.
std::size_t CpuBackend::attention_scratch(const Tensor& out) const {
  return as_size(threads_) *
         align(kernels_.attention_scratch(as_size(out.dim(1)), 1) + kGroupBytes);
}

void CpuBackend::do_attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) {
  const std::size_t rows = as_size(qkv.dim(0));
  if (rows == 0) return;
  const std::size_t heads = as_size(args.heads);
  const std::size_t kv_heads = as_size(args.kv_heads);
  const std::size_t head_dim = as_size(qkv.dim(1)) / (heads + 2 * kv_heads);
  const std::size_t panel = 2 * kernels_.lanes;
  const std::size_t panels = ceil_div(rows, panel);
  const std::size_t group = choose_group(kernels_, head_dim, panels * heads, as_size(threads_));
  const std::size_t groups = ceil_div(panels, group);
  const std::size_t piece = align(kernels_.attention_scratch(head_dim, group));
  need_scratch(as_size(threads_) * piece);
  cpu::HeadArgs head;
  head.stride = as_size(qkv.dim(1));
  head.out_stride = as_size(out.dim(1));
  head.head_dim = head_dim;
  head.keys = rows;
  head.scale = args.scale;
  head.causal = args.causal;
  cpu::parallel_for(threads_, heads * groups, [&](std::size_t job, std::size_t thread) {
    // The last queries see the most keys, so they come first and the threads end together.
    const std::size_t index = groups - 1 - job % groups;
    const std::size_t h = job / groups;
    const std::size_t kv = h / (heads / kv_heads);
    cpu::HeadArgs part = head;
    part.q = qkv.as<float>() + h * head_dim;
    part.k = qkv.as<float>() + (heads + kv) * head_dim;
    part.v = part.k + kv_heads * head_dim;
    part.out = out.as<float>() + h * head_dim;
    part.query_begin = index * group * panel;
    part.query_end = std::min(rows, (index + 1) * group * panel);
    part.scratch = reinterpret_cast<float*>(scratch_ + thread * piece);
    kernels_.attention(part);
  });
}

}  // namespace zimage
