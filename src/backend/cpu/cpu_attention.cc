// attention: which queries of which head one call of the kernel takes.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/parallel.h"

namespace zimage {
namespace {

// Panels of queries that pass over the keys together, so that a block of keys is copied once for
// all of them: as many as share the second cache with it.
constexpr std::size_t kGroupBytes = 300 << 10;
// What copying the keys costs, in passes of one panel over them.
constexpr double kCopyCost = 0.7;

std::size_t as_size(std::int64_t extent) {
  return static_cast<std::size_t>(extent);
}
std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}
std::size_t align(std::size_t bytes) {
  return ceil_div(bytes, Arena::kAlignment) * Arena::kAlignment;
}

// The group size, among those that fit, with which the busiest thread ends first.
std::size_t choose_group(std::size_t panels, std::size_t heads, std::size_t fit,
                         std::size_t threads) {
  std::size_t best = 1;
  double best_cost = 0;
  for (std::size_t group = 1; group <= std::min(fit, panels); ++group) {
    const std::size_t jobs = ceil_div(heads * ceil_div(panels, group), threads);
    const double cost = static_cast<double>(jobs) * (static_cast<double>(group) + kCopyCost);
    if (group == 1 || cost < best_cost) {
      best = group;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace

// The head size is not known here; it is at most the row of `out`.
std::size_t CpuBackend::attention_scratch(const Tensor& out) const {
  return as_size(threads_) *
         align(attention_kernels_.attention_scratch(as_size(out.dim(1)), 1) + kGroupBytes);
}

void CpuBackend::do_attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) {
  if (qkv.dim(0) == 0) return;
  const std::size_t heads = as_size(args.heads);
  const std::size_t kv_heads = as_size(args.kv_heads);
  const std::size_t sharing = heads / kv_heads;
  cpu::HeadArgs head;
  head.stride = as_size(qkv.dim(1));
  head.out_stride = as_size(out.dim(1));
  head.head_dim = head.stride / (heads + 2 * kv_heads);
  const std::size_t segments = as_size(args.segments);
  head.rows = as_size(qkv.dim(0)) / segments;
  head.scale = args.scale;
  head.causal = args.causal;
  const std::size_t panels = sharing * ceil_div(head.rows, 2 * attention_kernels_.lanes);
  const std::size_t one = attention_kernels_.attention_scratch(head.head_dim, 1);
  const std::size_t more = attention_kernels_.attention_scratch(head.head_dim, 2) - one;
  const std::size_t fit = std::max<std::size_t>(kGroupBytes / more, 1);
  const std::size_t group = choose_group(panels, segments * kv_heads, fit, as_size(threads_));
  const std::size_t groups = ceil_div(panels, group);
  const std::size_t piece = align(attention_kernels_.attention_scratch(head.head_dim, group));
  need_scratch(as_size(threads_) * piece);
  const std::size_t jobs = segments * kv_heads * groups;
  cpu::parallel_for(threads_, jobs, [&](std::size_t job, std::size_t thread) {
    const std::size_t kv = job / groups % kv_heads;
    const std::size_t first = job / groups / kv_heads * head.rows;
    const float* rows = qkv.as<float>() + first * head.stride;
    cpu::HeadArgs part = head;
    part.q = rows + kv * sharing * head.head_dim;
    part.k = rows + (heads + kv) * head.head_dim;
    part.v = part.k + kv_heads * head.head_dim;
    part.out = out.as<float>() + first * head.out_stride + kv * sharing * head.head_dim;
    // The last queries may see more keys, so they come first and the threads end together.
    const std::size_t index = groups - 1 - job % groups;
    part.panel_begin = panels * index / groups;
    part.panel_end = panels * (index + 1) / groups;
    part.scratch = reinterpret_cast<float*>(scratch_ + thread * piece);
    attention_kernels_.attention(part);
  });
}

}  // namespace zimage
