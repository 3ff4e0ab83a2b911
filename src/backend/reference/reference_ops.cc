// The meaning of each token operation, as loops. Sums are in double so that the oracle is closer to
// the truth than whatever it judges.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "backend/reference/reference_backend.h"

namespace zimage {
namespace {

double dot(const float* a, const float* b, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

double swish(double value) {
  return value / (1.0 + std::exp(-value));
}

// 1 / sqrt(mean(x^2) + eps).
double inverse_rms(const float* x, std::int64_t n, float eps) {
  return 1.0 / std::sqrt(dot(x, x, n) / static_cast<double>(n) + static_cast<double>(eps));
}

double at_or(const Tensor& vector, std::int64_t i, double fallback) {
  return vector.empty() ? fallback : static_cast<double>(vector.as<float>()[i]);
}

// One segment.
void attend(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) {
  const std::int64_t rows = qkv.dim(0);
  const std::int64_t stride = qkv.dim(1);
  const std::int64_t head_dim = stride / (args.heads + 2 * args.kv_heads);
  std::vector<double> scores(static_cast<std::size_t>(rows));
  std::vector<double> sum(static_cast<std::size_t>(head_dim));
  for (std::int64_t h = 0; h < args.heads; ++h) {
    const std::int64_t kv = h / (args.heads / args.kv_heads);
    const float* q = qkv.as<float>() + h * head_dim;
    const float* k = qkv.as<float>() + (args.heads + kv) * head_dim;
    const float* v = k + args.kv_heads * head_dim;
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t visible = args.causal ? i + 1 : rows;
      const auto end = scores.begin() + visible;
      for (std::int64_t j = 0; j < visible; ++j) {
        scores[static_cast<std::size_t>(j)] =
            dot(q + i * stride, k + j * stride, head_dim) * static_cast<double>(args.scale);
      }
      const double highest = *std::max_element(scores.begin(), end);
      double total = 0;
      std::fill(sum.begin(), sum.end(), 0.0);
      for (std::int64_t j = 0; j < visible; ++j) {
        const double weight = std::exp(scores[static_cast<std::size_t>(j)] - highest);
        total += weight;
        for (std::int64_t d = 0; d < head_dim; ++d) {
          sum[static_cast<std::size_t>(d)] += weight * static_cast<double>(v[j * stride + d]);
        }
      }
      float* target = out.as<float>() + i * args.heads * head_dim + h * head_dim;
      for (std::int64_t d = 0; d < head_dim; ++d)
        target[d] = static_cast<float>(sum[static_cast<std::size_t>(d)] / total);
    }
  }
}

}  // namespace

void ReferenceBackend::do_linear(const Tensor& out, const Tensor& x, const Weight& weight,
                                 const LinearArgs& args) {
  const float* w = static_cast<const float*>(weight.data);
  for (std::int64_t t = 0; t < x.dim(0); ++t) {
    for (std::int64_t o = 0; o < weight.out; ++o) {
      double value =
          dot(x.as<float>() + t * weight.in, w + o * weight.in, weight.in) + at_or(args.bias, o, 0);
      if (args.activation == Activation::Silu) value = swish(value);
      float& target = out.as<float>()[t * weight.out + o];
      target = static_cast<float>(args.accumulate ? static_cast<double>(target) + value : value);
    }
  }
}

void ReferenceBackend::do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up,
                                 const SwigluArgs& /*args*/) {
  const std::int64_t features = gate_up.out / 2;
  const float* gate = static_cast<const float*>(gate_up.data);
  const float* up = gate + features * gate_up.in;
  for (std::int64_t t = 0; t < x.dim(0); ++t) {
    const float* row = x.as<float>() + t * gate_up.in;
    for (std::int64_t f = 0; f < features; ++f) {
      const double g = dot(row, gate + f * gate_up.in, gate_up.in);
      const double u = dot(row, up + f * gate_up.in, gate_up.in);
      out.as<float>()[t * features + f] = static_cast<float>(swish(g) * u);
    }
  }
}

void ReferenceBackend::do_rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                                   const NormArgs& args) {
  const std::int64_t dim = x.dim(1);
  for (std::int64_t t = 0; t < x.dim(0); ++t) {
    const float* row = x.as<float>() + t * dim;
    const double factor = inverse_rms(row, dim, args.eps);
    for (std::int64_t i = 0; i < dim; ++i) {
      const double normed =
          static_cast<double>(row[i]) * factor * static_cast<double>(weight.as<float>()[i]);
      out.as<float>()[t * dim + i] = static_cast<float>(normed * (1.0 + at_or(args.scale, i, 0)));
    }
  }
}

void ReferenceBackend::do_layer_norm(const Tensor& out, const Tensor& x, const NormArgs& args) {
  const std::int64_t dim = x.dim(1);
  for (std::int64_t t = 0; t < x.dim(0); ++t) {
    const float* row = x.as<float>() + t * dim;
    double mean = 0;
    for (std::int64_t i = 0; i < dim; ++i) mean += static_cast<double>(row[i]);
    mean /= static_cast<double>(dim);
    double variance = 0;
    for (std::int64_t i = 0; i < dim; ++i)
      variance += std::pow(static_cast<double>(row[i]) - mean, 2);
    const double factor =
        1.0 / std::sqrt(variance / static_cast<double>(dim) + static_cast<double>(args.eps));
    for (std::int64_t i = 0; i < dim; ++i) {
      const double normed = (static_cast<double>(row[i]) - mean) * factor;
      out.as<float>()[t * dim + i] = static_cast<float>(normed * (1.0 + at_or(args.scale, i, 0)));
    }
  }
}

void ReferenceBackend::do_add_gated_rms_norm(const Tensor& x, const Tensor& y, const Tensor& weight,
                                             const GatedNormArgs& args) {
  const std::int64_t dim = x.dim(1);
  for (std::int64_t t = 0; t < x.dim(0); ++t) {
    const float* row = y.as<float>() + t * dim;
    const double factor = inverse_rms(row, dim, args.eps);
    for (std::int64_t i = 0; i < dim; ++i) {
      const double gate =
          args.gate.empty() ? 1.0 : std::tanh(static_cast<double>(args.gate.as<float>()[i]));
      const double normed =
          static_cast<double>(row[i]) * factor * static_cast<double>(weight.as<float>()[i]);
      float& target = x.as<float>()[t * dim + i];
      target = static_cast<float>(static_cast<double>(target) + gate * normed);
    }
  }
}

void ReferenceBackend::do_qk_norm_rope(const Tensor& qkv, const Tensor& q_norm,
                                       const Tensor& k_norm, const RopeArgs& args) {
  const std::int64_t head_dim = qkv.dim(1) / (args.heads + 2 * args.kv_heads);
  const std::int64_t half = head_dim / 2;
  std::vector<double> normed(static_cast<std::size_t>(head_dim));
  for (std::int64_t t = 0; t < qkv.dim(0); ++t) {
    const float* angles = args.cos_sin.as<float>() + t * head_dim;
    for (std::int64_t h = 0; h < args.heads + args.kv_heads; ++h) {
      float* head = qkv.as<float>() + t * qkv.dim(1) + h * head_dim;
      const float* weight = (h < args.heads ? q_norm : k_norm).as<float>();
      const double factor = inverse_rms(head, head_dim, args.eps);
      for (std::int64_t i = 0; i < head_dim; ++i) {
        normed[static_cast<std::size_t>(i)] =
            static_cast<double>(head[i]) * factor * static_cast<double>(weight[i]);
      }
      for (std::int64_t pair = 0; pair < half; ++pair) {
        const bool interleaved = args.pairing == Pairing::Interleaved;
        const std::int64_t i = interleaved ? 2 * pair : pair;
        const std::int64_t j = interleaved ? 2 * pair + 1 : pair + half;
        const double a = normed[static_cast<std::size_t>(i)];
        const double b = normed[static_cast<std::size_t>(j)];
        const auto cosine = static_cast<double>(angles[2 * pair]);
        const auto sine = static_cast<double>(angles[2 * pair + 1]);
        head[i] = static_cast<float>(a * cosine - b * sine);
        head[j] = static_cast<float>(a * sine + b * cosine);
      }
    }
  }
}

void ReferenceBackend::do_attention(const Tensor& out, const Tensor& qkv,
                                    const AttentionArgs& args) {
  const std::int64_t rows = qkv.dim(0) / args.segments;
  for (std::int64_t first = 0; first < qkv.dim(0); first += rows)
    attend(out.rows(first, first + rows), qkv.rows(first, first + rows), args);
}

void ReferenceBackend::do_silu(const Tensor& x) {
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    x.as<float>()[i] = static_cast<float>(swish(static_cast<double>(x.as<float>()[i])));
  }
}

void ReferenceBackend::do_add_scaled(const Tensor& x, const Tensor& y, float factor) {
  for (std::int64_t i = 0; i < x.elements(); ++i) x.as<float>()[i] += factor * y.as<float>()[i];
}

void ReferenceBackend::do_blend(const Tensor& x, const Tensor& y, const Tensor& mask) {
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    const float share = mask.as<float>()[i];
    float& value = x.as<float>()[i];
    value = share * value + (1.0F - share) * y.as<float>()[i];
  }
}

void ReferenceBackend::do_cast(const Tensor& out, const Tensor& x) {
  std::memcpy(out.data, x.data, x.bytes());
}

void ReferenceBackend::do_fill_rows(const Tensor& out, const Tensor& row) {
  for (std::int64_t t = 0; t < out.dim(0); ++t)
    std::memcpy(out.as<float>() + t * out.dim(1), row.data, row.bytes());
}

}  // namespace zimage
