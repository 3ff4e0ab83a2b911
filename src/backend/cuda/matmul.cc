// cuBLASLt is column-major: it computes out^T = W x^T on the same memory.
#include "backend/cuda/matmul.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <vector>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/kernels.h"
#include "base/error.h"
#include "base/tensor.h"

namespace zimage::cuda {
namespace {

constexpr int kCandidates = 12;
constexpr int kRepeats = 4;
// The name of our own kernel in the cache file; cuBLASLt's algorithms are 128 hexadecimal digits.
constexpr const char* kOwn = "sm90";

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::F32 ? CUDA_R_32F : CUDA_R_16BF;
}

std::string text_of(const MatmulShape& s) {
  std::string text = std::string(name_of(s.in)) + "-" + std::string(name_of(s.out));
  for (const std::int64_t n :
       {s.rows, s.columns, s.depth, s.x_stride, s.w_stride, s.out_stride, s.alignment}) {
    text += "-";
    text += std::to_string(n);
  }
  return text + (s.w_by_depth ? "-n" : "-t") + (s.accumulate ? "-add" : "");
}

std::string to_hex(const cublasLtMatmulAlgo_t& algorithm) {
  std::string text;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&algorithm);
  for (std::size_t i = 0; i < sizeof(algorithm); ++i) {
    constexpr const char* kDigits = "0123456789abcdef";
    text += {kDigits[bytes[i] / 16], kDigits[bytes[i] % 16]};
  }
  return text;
}

// False unless `text` is exactly an algorithm's digits.
bool from_hex(const std::string& text, cublasLtMatmulAlgo_t& algorithm) {
  if (text.size() != 2 * sizeof(algorithm)) return false;
  auto* bytes = reinterpret_cast<unsigned char*>(&algorithm);
  for (std::size_t i = 0; i < sizeof(algorithm); ++i) {
    int value = 0;
    for (const char c : {text[2 * i], text[2 * i + 1]}) {
      const char* digits = "0123456789abcdef";
      const char* at = std::strchr(digits, c);
      if (c == '\0' || at == nullptr) return false;
      value = value * 16 + static_cast<int>(at - digits);
    }
    bytes[i] = static_cast<unsigned char>(value);
  }
  return true;
}

// Device memory for the time of one measurement.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) { status_ = cudaMalloc(&data_, bytes); }
  ~Scratch() { static_cast<void>(cudaFree(data_)); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  bool failed() const { return status_ != cudaSuccess; }
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
  cudaError_t status_ = cudaSuccess;
};

}  // namespace

struct Matmul::Plan {
  MatmulShape shape;
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t w = nullptr;
  cublasLtMatrixLayout_t x = nullptr;
  cublasLtMatrixLayout_t out = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  bool own = false;

  explicit Plan(const MatmulShape& s) : shape(s) {
    check_cuda(cublasLtMatmulDescCreate(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    const cublasOperation_t transpose = s.w_by_depth ? CUBLAS_OP_N : CUBLAS_OP_T;
    check_cuda(cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSA, &transpose,
                                              sizeof(transpose)));
    const auto make = [](cublasLtMatrixLayout_t& layout, DType dtype, std::int64_t rows,
                         std::int64_t columns, std::int64_t stride) {
      check_cuda(cublasLtMatrixLayoutCreate(&layout, type_of(dtype),
                                            static_cast<std::uint64_t>(rows),
                                            static_cast<std::uint64_t>(columns), stride));
    };
    make(w, s.in, s.w_by_depth ? s.columns : s.depth, s.w_by_depth ? s.depth : s.columns,
         s.w_stride);
    make(x, s.in, s.depth, s.rows, s.x_stride);
    make(out, s.out, s.columns, s.rows, s.out_stride);
  }
  ~Plan() {
    if (out != nullptr) cublasLtMatrixLayoutDestroy(out);
    if (x != nullptr) cublasLtMatrixLayoutDestroy(x);
    if (w != nullptr) cublasLtMatrixLayoutDestroy(w);
    if (description != nullptr) cublasLtMatmulDescDestroy(description);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // gemm_sm90() takes whole bf16 matrices with rows of whole 16 bytes.
  bool own_fits() const {
    const MatmulShape& s = shape;
    return s.in == DType::BF16 && s.out == DType::BF16 && !s.w_by_depth && !s.accumulate &&
           s.depth % 8 == 0 && s.columns % 8 == 0 && s.alignment % 16 == 0 &&
           s.x_stride == s.depth && s.w_stride == s.depth && s.out_stride == s.columns;
  }
};

Matmul::Matmul(const MatmulOptions& options) : options_(options) {
  check_cuda(cublasLtCreate(&handle_));
  check_cuda(cudaMalloc(&workspace_, kWorkspaceBytes));
  check_cuda(cudaStreamCreateWithFlags(&tuning_stream_, cudaStreamNonBlocking));
  choices_ = read_choices(options_.cache);
}

Matmul::~Matmul() {
  static_cast<void>(cudaStreamDestroy(tuning_stream_));
  static_cast<void>(cudaFree(workspace_));
  static_cast<void>(cublasLtDestroy(handle_));
}

void Matmul::run(const MatmulShape& shape, const void* x, const void* w, void* out, float alpha,
                 cudaStream_t stream) {
  if (shape.rows == 0 || shape.columns == 0) return;
  enqueue(plan_of(shape, w), {x, w, out, workspace_}, alpha, stream);
}

void Matmul::enqueue(const Plan& plan, const Operands& operands, float alpha,
                     cudaStream_t stream) const {
  const MatmulShape& s = plan.shape;
  const auto& [x, w, out, workspace] = operands;
  if (plan.own && alpha == 1.0F) {
    kernels::gemm_sm90({out, s.out, {s.rows, s.columns}},
                       {const_cast<void*>(x), s.in, {s.rows, s.depth}},
                       {const_cast<void*>(w), s.in, {s.columns, s.depth}}, {}, stream);
    return;
  }
  const float beta = s.accumulate ? 1.0F : 0.0F;
  check_cuda(cublasLtMatmul(handle_, plan.description, &alpha, w, plan.w, x, plan.x, &beta, out,
                            plan.out, out, plan.out, &plan.algorithm, workspace, kWorkspaceBytes,
                            stream));
}

Matmul::Plan& Matmul::plan_of(const MatmulShape& shape, const void* w) {
  const std::string text = text_of(shape);
  const auto found = plans_.find(text);
  if (found != plans_.end()) return found->second;
  Plan& plan = plans_.try_emplace(text, shape).first->second;
  try {
    choose(plan, w);
  } catch (...) {
    plans_.erase(text);
    throw;
  }
  return plan;
}

void Matmul::choose(Plan& plan, const void* w) {
  const std::string text = text_of(plan.shape);
  if (take_known(plan, text)) return;
  const std::vector<cublasLtMatmulAlgo_t> candidates = candidates_of(plan);
  if (candidates.empty()) {
    throw Error(ErrorCode::Unsupported, "cuda: cuBLASLt has no algorithm for the product " + text);
  }
  plan.algorithm = candidates[0];
  if (!options_.tune || plan.own || !measure(plan, w, candidates)) return;
  choices_[text] = plan.own ? kOwn : to_hex(plan.algorithm);
  write_choices(options_.cache, choices_);
}

// An algorithm out of the file is checked before it is used: the file is nobody's promise. Our own
// kernel still needs one of cuBLASLt's beside it.
bool Matmul::take_known(Plan& plan, const std::string& text) {
  const auto known = choices_.find(text);
  if (known == choices_.end()) return false;
  plan.own = known->second == kOwn && options_.hopper && plan.own_fits();
  cublasLtMatmulHeuristicResult_t result{};
  return from_hex(known->second, plan.algorithm) &&
         cublasLtMatmulAlgoCheck(handle_, plan.description, plan.w, plan.x, plan.out, plan.out,
                                 &plan.algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= kWorkspaceBytes;
}

std::vector<cublasLtMatmulAlgo_t> Matmul::candidates_of(const Plan& plan) const {
  cublasLtMatmulPreference_t preference = nullptr;
  check_cuda(cublasLtMatmulPreferenceCreate(&preference));
  const std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>,
                        decltype(&cublasLtMatmulPreferenceDestroy)>
      owner(preference, &cublasLtMatmulPreferenceDestroy);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check_cuda(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)));
  };
  const auto alignment_of = [&](std::int64_t stride, DType dtype) {
    const std::uint64_t bytes = static_cast<std::uint64_t>(stride) * size_of(dtype) |
                                static_cast<std::uint64_t>(plan.shape.alignment);
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(16, std::uint64_t{1} << std::countr_zero(bytes)));
  };
  const MatmulShape& s = plan.shape;
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(s.w_stride, s.in));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(s.x_stride, s.in));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(s.out_stride, s.out));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(s.out_stride, s.out));
  std::array<cublasLtMatmulHeuristicResult_t, kCandidates> results{};
  int count = 0;
  check_cuda(cublasLtMatmulAlgoGetHeuristic(handle_, plan.description, plan.w, plan.x, plan.out,
                                            plan.out, preference, kCandidates, results.data(),
                                            &count));
  std::vector<cublasLtMatmulAlgo_t> candidates;
  candidates.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) candidates.push_back(results[static_cast<std::size_t>(i)].algo);
  return candidates;
}

// Sets the plan to the fastest on random numbers and real weights, which are only read; false,
// leaving it as it is, without the memory. The workspace is its own: products that still run on the
// caller's stream keep counters in theirs, and two products that share them wait for ever.
bool Matmul::measure(Plan& plan, const void* w, std::span<const cublasLtMatmulAlgo_t> candidates) {
  const MatmulShape& s = plan.shape;
  Tensor x{nullptr, s.in, {s.rows * s.x_stride}};
  Tensor out{nullptr, s.out, {s.rows * s.out_stride}};
  const Scratch x_memory(x.bytes());
  const Scratch out_memory(out.bytes());
  const Scratch workspace(kWorkspaceBytes);
  if (x_memory.failed() || out_memory.failed() || workspace.failed()) {
    static_cast<void>(cudaGetLastError());  // no fault of the device
    return false;
  }
  x.data = x_memory.data();
  out.data = out_memory.data();
  for (const Tensor& tensor : {x, out}) kernels::fill_noise(tensor, tuning_stream_);
  const Operands operands{x.data, w, out.data, workspace.data()};
  cublasLtMatmulAlgo_t fastest = plan.algorithm;
  float best = time(plan, operands);
  for (const cublasLtMatmulAlgo_t& candidate : candidates.subspan(1)) {
    plan.algorithm = candidate;
    const float elapsed = time(plan, operands);
    if (elapsed >= best) continue;
    best = elapsed;
    fastest = candidate;
  }
  plan.algorithm = fastest;
  if (!options_.hopper || !plan.own_fits()) return true;
  plan.own = true;
  // A margin, for the two were not measured at the same moment.
  plan.own = time(plan, operands) < 0.97F * best;
  return true;
}

// The least of some runs, in milliseconds.
float Matmul::time(const Plan& plan, const Operands& operands) {
  std::array<cudaEvent_t, kRepeats + 1> events{};
  for (cudaEvent_t& event : events) check_cuda(cudaEventCreate(&event));
  enqueue(plan, operands, 1.0F, tuning_stream_);
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (i > 0) enqueue(plan, operands, 1.0F, tuning_stream_);
    check_cuda(cudaEventRecord(events[i], tuning_stream_));
  }
  check_cuda(cudaStreamSynchronize(tuning_stream_));
  float least = 0;
  for (std::size_t i = 1; i < events.size(); ++i) {
    float elapsed = 0;
    check_cuda(cudaEventElapsedTime(&elapsed, events[i - 1], events[i]));
    least = i == 1 ? elapsed : std::min(least, elapsed);
  }
  for (const cudaEvent_t event : events) static_cast<void>(cudaEventDestroy(event));
  return least;
}

}  // namespace zimage::cuda
