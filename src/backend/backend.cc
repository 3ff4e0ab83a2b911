// The one place where arguments of operations are checked; the do_ functions may trust them.
#include "backend/backend.h"

#include <string_view>
#include <utility>

#include "base/error.h"

namespace zimage {
namespace {

using std::string;
using std::string_view;

[[noreturn]] void reject(string_view op, string_view what, const string& found,
                         const string& expected) {
  throw Error(ErrorCode::InvalidArgument,
              string(op) + ": " + string(what) + " is " + found + ", expected " + expected);
}

void expect_shape(const Tensor& tensor, const Shape& shape, string_view op, string_view what) {
  if (tensor.empty()) reject(op, what, "absent", to_string(shape));
  if (tensor.shape != shape) reject(op, what, to_string(tensor.shape), to_string(shape));
}

void expect_rank(const Tensor& tensor, int rank, string_view op, string_view what) {
  if (tensor.empty() || tensor.shape.rank() != rank) {
    reject(op, what, tensor.empty() ? "absent" : to_string(tensor.shape),
           "of rank " + std::to_string(rank));
  }
}

void expect_dtype(const Tensor& tensor, DType dtype, string_view op, string_view what) {
  if (tensor.dtype != dtype)
    reject(op, what, string(name_of(tensor.dtype)), string(name_of(dtype)));
}

// An f32 vector of n elements that may be absent.
void expect_optional_vector(const Tensor& tensor, std::int64_t n, string_view op,
                            string_view what) {
  if (tensor.empty()) return;
  expect_shape(tensor, {n}, op, what);
  expect_dtype(tensor, DType::F32, op, what);
}

void expect_vector(const Tensor& tensor, std::int64_t n, string_view op, string_view what) {
  expect_shape(tensor, {n}, op, what);
  expect_dtype(tensor, DType::F32, op, what);
}

// The backend's activation type or f32.
void expect_activation(const Backend& backend, const Tensor& tensor, string_view op,
                       string_view what) {
  if (tensor.dtype != DType::F32 && tensor.dtype != backend.activation_dtype()) {
    reject(op, what, string(name_of(tensor.dtype)),
           string(name_of(backend.activation_dtype())) + " or f32");
  }
}

void expect_same(const Backend& backend, const Tensor& out, const Tensor& x, string_view op) {
  expect_activation(backend, x, op, "x");
  expect_shape(out, x.shape, op, "out");
  expect_dtype(out, x.dtype, op, "out");
}

bool is_float(DType dtype) {
  return dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16;
}

void expect_floats(const Tensor& tensor, string_view op, string_view what) {
  if (tensor.empty() || !is_float(tensor.dtype)) {
    reject(op, what, tensor.empty() ? "absent" : string(name_of(tensor.dtype)), "f32, f16 or bf16");
  }
}

void expect_kernel(const Weight& weight, std::int64_t side, string_view op) {
  if (weight.empty() || weight.kernel != side) {
    reject(op, "weight",
           weight.empty() ? "absent" : "a kernel of side " + std::to_string(weight.kernel),
           "a kernel of side " + std::to_string(side));
  }
}

void expect_feeding(const Weight* feeds, const Tensor& out, string_view op) {
  if (feeds != nullptr && feeds->in != out.dim(1)) {
    reject(op, "feeds", "a matrix of " + std::to_string(feeds->in) + " inputs",
           std::to_string(out.dim(1)));
  }
}

// Returns head_dim of qkv [T, (heads + 2 kv_heads) head_dim].
std::int64_t expect_qkv(const Backend& backend, const Tensor& qkv, std::int64_t heads,
                        std::int64_t kv_heads, string_view op) {
  expect_rank(qkv, 2, op, "qkv");
  expect_activation(backend, qkv, op, "qkv");
  if (heads <= 0 || kv_heads <= 0 || heads % kv_heads != 0) {
    reject(op, "heads", std::to_string(heads),
           "a positive multiple of kv_heads " + std::to_string(kv_heads));
  }
  const std::int64_t parts = heads + 2 * kv_heads;
  if (qkv.dim(1) == 0 || qkv.dim(1) % parts != 0) {
    reject(op, "qkv", to_string(qkv.shape), "a multiple of " + std::to_string(parts) + " columns");
  }
  return qkv.dim(1) / parts;
}

}  // namespace

Buffer::~Buffer() {
  if (data_ != nullptr) backend_->do_free(data_, bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : backend_(other.backend_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void Backend::copy(const Tensor& out, const Tensor& x) {
  expect_shape(out, x.shape, "copy", "out");
  expect_dtype(out, x.dtype, "copy", "out");
  do_copy(out, x);
}

void Backend::upload(const Tensor& out, const std::function<std::vector<float>()>& make) {
  expect_dtype(out, DType::F32, "upload", "out");
  if (computes()) do_upload(out, make().data());
}

std::vector<float> Backend::download(const Tensor& x) {
  expect_dtype(x, DType::F32, "download", "x");
  if (!computes()) return {};
  std::vector<float> values(static_cast<std::size_t>(x.elements()));
  do_download(values.data(), x);
  return values;
}

void Backend::repeat(std::int64_t count, const std::function<void(std::int64_t)>& work) {
  for (std::int64_t i = 0; i < count; ++i) work(i);
}

void Backend::set_encoding(Encoding encoding) {
  if (encoding == Encoding::Plain) return;
  const char* const option = encoding == Encoding::Fp8    ? "encoding fp8"
                             : encoding == Encoding::Bf16 ? "precision bf16"
                                                          : "precision fast";
  throw Error(ErrorCode::Unsupported,
              std::string(option) + ": " + description() + " does not have it; leave it out");
}

Weight Backend::load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) {
  if (parts.empty()) reject("load_matrix", "parts", "empty", "one or more matrices");
  for (const Tensor& part : parts) {
    expect_rank(part, 2, "load_matrix", "part");
    expect_floats(part, "load_matrix", "part");
    if (part.dim(1) != parts[0].dim(1)) {
      reject("load_matrix", "part", to_string(part.shape),
             std::to_string(parts[0].dim(1)) + " columns");
    }
  }
  if (role == MatrixRole::GateUp && (parts.size() != 2 || parts[0].shape != parts[1].shape)) {
    reject("load_matrix", "gate and up", std::to_string(parts.size()) + " parts",
           "two parts of equal shape");
  }
  return do_load_matrix(slab, parts, role);
}

Weight Backend::load_kernel(Arena& slab, const Tensor& kernel) {
  expect_rank(kernel, 4, "load_kernel", "kernel");
  expect_floats(kernel, "load_kernel", "kernel");
  if (kernel.dim(2) != kernel.dim(3) || kernel.dim(2) % 2 == 0) {
    reject("load_kernel", "kernel", to_string(kernel.shape), "a square of odd side");
  }
  return do_load_kernel(slab, kernel);
}

Tensor Backend::load_vector(Arena& slab, std::span<const Tensor> parts) {
  if (parts.empty()) reject("load_vector", "parts", "empty", "one or more vectors");
  for (const Tensor& part : parts) expect_floats(part, "load_vector", "part");
  return do_load_vector(slab, parts);
}

void Backend::linear(const Tensor& out, const Tensor& x, const Weight& weight,
                     const LinearArgs& args) {
  expect_kernel(weight, 1, "linear");
  expect_rank(x, 2, "linear", "x");
  expect_shape(x, {x.dim(0), weight.in}, "linear", "x");
  expect_shape(out, {x.dim(0), weight.out}, "linear", "out");
  expect_activation(*this, x, "linear", "x");
  expect_activation(*this, out, "linear", "out");
  expect_optional_vector(args.bias, weight.out, "linear", "bias");
  do_linear(out, x, weight, args);
}

void Backend::swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up,
                     const SwigluArgs& args) {
  expect_kernel(gate_up, 1, "swiglu");
  expect_rank(x, 2, "swiglu", "x");
  expect_shape(x, {x.dim(0), gate_up.in}, "swiglu", "x");
  expect_shape(out, {x.dim(0), gate_up.out / 2}, "swiglu", "out");
  expect_activation(*this, x, "swiglu", "x");
  expect_dtype(out, x.dtype, "swiglu", "out");
  expect_feeding(args.feeds, out, "swiglu");
  do_swiglu(out, x, gate_up, args);
}

void Backend::rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                       const NormArgs& args) {
  expect_rank(x, 2, "rms_norm", "x");
  expect_same(*this, out, x, "rms_norm");
  expect_vector(weight, x.dim(1), "rms_norm", "weight");
  expect_optional_vector(args.scale, x.dim(1), "rms_norm", "scale");
  expect_feeding(args.feeds, out, "rms_norm");
  do_rms_norm(out, x, weight, args);
}

void Backend::layer_norm(const Tensor& out, const Tensor& x, const NormArgs& args) {
  expect_rank(x, 2, "layer_norm", "x");
  expect_same(*this, out, x, "layer_norm");
  expect_optional_vector(args.scale, x.dim(1), "layer_norm", "scale");
  do_layer_norm(out, x, args);
}

void Backend::add_gated_rms_norm(const Tensor& x, const Tensor& y, const Tensor& weight,
                                 const GatedNormArgs& args) {
  expect_rank(x, 2, "add_gated_rms_norm", "x");
  expect_same(*this, y, x, "add_gated_rms_norm");
  expect_vector(weight, x.dim(1), "add_gated_rms_norm", "weight");
  expect_optional_vector(args.gate, x.dim(1), "add_gated_rms_norm", "gate");
  do_add_gated_rms_norm(x, y, weight, args);
}

void Backend::qk_norm_rope(const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
                           const RopeArgs& args) {
  const std::int64_t head_dim = expect_qkv(*this, qkv, args.heads, args.kv_heads, "qk_norm_rope");
  if (head_dim % 2 != 0)
    reject("qk_norm_rope", "head_dim", std::to_string(head_dim), "an even number");
  expect_vector(q_norm, head_dim, "qk_norm_rope", "q_norm");
  expect_vector(k_norm, head_dim, "qk_norm_rope", "k_norm");
  expect_shape(args.cos_sin, {qkv.dim(0), head_dim / 2, 2}, "qk_norm_rope", "cos_sin");
  expect_dtype(args.cos_sin, DType::F32, "qk_norm_rope", "cos_sin");
  do_qk_norm_rope(qkv, q_norm, k_norm, args);
}

void Backend::attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) {
  const std::int64_t head_dim = expect_qkv(*this, qkv, args.heads, args.kv_heads, "attention");
  expect_shape(out, {qkv.dim(0), args.heads * head_dim}, "attention", "out");
  expect_dtype(out, qkv.dtype, "attention", "out");
  if (args.segments < 1 || qkv.dim(0) % args.segments != 0) {
    reject("attention", "segments", std::to_string(args.segments),
           "a divisor of " + std::to_string(qkv.dim(0)) + " rows");
  }
  expect_feeding(args.feeds, out, "attention");
  do_attention(out, qkv, args);
}

void Backend::silu(const Tensor& x) {
  expect_activation(*this, x, "silu", "x");
  do_silu(x);
}

void Backend::add(const Tensor& x, const Tensor& y) {
  add_scaled(x, y, 1.0F);
}

void Backend::add_scaled(const Tensor& x, const Tensor& y, float factor) {
  expect_same(*this, y, x, "add_scaled");
  do_add_scaled(x, y, factor);
}

void Backend::cast(const Tensor& out, const Tensor& x) {
  expect_shape(out, x.shape, "cast", "out");
  expect_activation(*this, x, "cast", "x");
  expect_activation(*this, out, "cast", "out");
  do_cast(out, x);
}

void Backend::fill_rows(const Tensor& out, const Tensor& row) {
  expect_rank(out, 2, "fill_rows", "out");
  expect_activation(*this, out, "fill_rows", "out");
  expect_vector(row, out.dim(1), "fill_rows", "row");
  if (out.dim(0) > 0) do_fill_rows(out, row);
}

void Backend::blend(const Tensor& x, const Tensor& y, const Tensor& mask) {
  expect_rank(x, 2, "blend", "x");
  expect_dtype(x, DType::F32, "blend", "x");
  for (const auto& [tensor, name] : {std::pair{&y, "y"}, {&mask, "mask"}}) {
    expect_shape(*tensor, x.shape, "blend", name);
    expect_dtype(*tensor, DType::F32, "blend", name);
  }
  do_blend(x, y, mask);
}

void Backend::conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                     const ConvArgs& args) {
  if (weight.empty()) reject("conv2d", "weight", "absent", "a kernel");
  expect_rank(x, 3, "conv2d", "x");
  expect_activation(*this, x, "conv2d", "x");
  expect_shape(x, {x.dim(0), x.dim(1), weight.in}, "conv2d", "x");
  if (args.downsample_2x) {
    if (weight.kernel != 3 || args.upsample_2x)
      reject("conv2d", "downsample_2x", "true", "a 3x3 kernel without upsample_2x");
    expect_shape(out, {x.dim(0) / 2, x.dim(1) / 2, weight.out}, "conv2d", "out");
  } else {
    const std::int64_t factor = args.upsample_2x ? 2 : 1;
    expect_shape(out, {x.dim(0) * factor, x.dim(1) * factor, weight.out}, "conv2d", "out");
  }
  expect_dtype(out, x.dtype, "conv2d", "out");
  expect_optional_vector(args.bias, weight.out, "conv2d", "bias");
  do_conv2d(out, x, weight, args);
}

void Backend::group_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                         const Tensor& bias, const GroupNormArgs& args) {
  expect_rank(x, 3, "group_norm", "x");
  expect_same(*this, out, x, "group_norm");
  expect_vector(weight, x.dim(2), "group_norm", "weight");
  expect_vector(bias, x.dim(2), "group_norm", "bias");
  if (args.groups <= 0 || x.dim(2) % args.groups != 0) {
    reject("group_norm", "groups", std::to_string(args.groups),
           "a divisor of " + std::to_string(x.dim(2)));
  }
  if (!args.statistics.empty()) {
    expect_shape(args.statistics, {2, args.groups}, "group_norm", "statistics");
    expect_dtype(args.statistics, DType::F32, "group_norm", "statistics");
  } else if (args.given) {
    reject("group_norm", "statistics", "absent", to_string(Shape{2, args.groups}));
  }
  do_group_norm(out, x, weight, bias, args);
}

}  // namespace zimage
