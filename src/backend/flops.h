// Floating-point operations of the operations that have many; a multiply-add is two.
#pragma once

#include "backend/backend.h"

namespace zimage {

// Of linear() and swiglu().
inline double matrix_flops(const Tensor& x, const Weight& weight) {
  return 2.0 * static_cast<double>(x.dim(0)) * static_cast<double>(weight.in) *
         static_cast<double>(weight.out);
}

// Both products of every visible pair of rows. out [T, heads head_dim].
inline double attention_flops(const Tensor& out, const AttentionArgs& args) {
  const std::int64_t of_one = out.dim(0) / args.segments;
  const auto rows = static_cast<double>(of_one);
  const double pairs = args.causal ? rows * (rows + 1) / 2 : rows * rows;
  return 4.0 * static_cast<double>(args.segments) * pairs * static_cast<double>(out.dim(1));
}

// Of the direct algorithm, whatever the backend does.
inline double conv_flops(const Tensor& out, const Weight& weight) {
  return 2.0 * static_cast<double>(out.elements()) * static_cast<double>(weight.in) *
         static_cast<double>(weight.kernel * weight.kernel);
}

}  // namespace zimage
