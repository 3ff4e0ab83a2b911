// Matrix products through cuBLASLt, and through our own Hopper kernel where it is faster. For each
// shape the candidates are timed once; the choice is kept on disk for the card.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/measured_choices.h"

namespace zimage::cuda {

// out [rows, columns] (+)= alpha x [rows, depth] W^T with W [columns, depth], or x W with W [depth,
// columns]. Strides are numbers between rows. Sums in f32; f32 operands are multiplied in full
// precision.
struct MatmulShape {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  std::int64_t x_stride = 0;
  std::int64_t w_stride = 0;
  std::int64_t out_stride = 0;
  DType in = DType::BF16;       // of x and W
  DType out = DType::BF16;      // f32 where `in` is f32
  std::int64_t alignment = 16;  // bytes the three addresses are multiples of
  bool w_by_depth = false;      // W is [depth, columns]
  bool accumulate = false;
};

struct MatmulOptions {
  std::filesystem::path cache;  // file of earlier choices; empty for none
  bool hopper = false;          // the device runs gemm_sm90()
  bool tune = true;             // time the candidates; otherwise take cuBLASLt's first
};

class Matmul {
 public:
  // Of device memory, held as long as this lives, and of the measuring's own while it lasts.
  static constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

  explicit Matmul(const MatmulOptions& options);
  ~Matmul();
  Matmul(const Matmul&) = delete;
  Matmul& operator=(const Matmul&) = delete;

  // Enqueues on `stream`. The first call with a shape may time candidates on a stream of its own,
  // also while `stream` records.
  void run(const MatmulShape& shape, const void* x, const void* w, void* out, float alpha,
           cudaStream_t stream);

 private:
  struct Plan;
  // `w` is what candidates are timed on.
  Plan& plan_of(const MatmulShape& shape, const void* w);
  void choose(Plan& plan, const void* w);
  bool take_known(Plan& plan, const std::string& text);
  std::vector<cublasLtMatmulAlgo_t> candidates_of(const Plan& plan) const;
  bool measure(Plan& plan, const void* w, std::span<const cublasLtMatmulAlgo_t> candidates);
  // What a product reads, writes and leaves its counters in.
  struct Operands {
    const void* x = nullptr;
    const void* w = nullptr;
    void* out = nullptr;
    void* workspace = nullptr;  // kWorkspaceBytes
  };
  float time(const Plan& plan, const Operands& operands);
  void enqueue(const Plan& plan, const Operands& operands, float alpha, cudaStream_t stream) const;

  MatmulOptions options_;
  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  cudaStream_t tuning_stream_ = nullptr;
  std::map<std::string, Plan> plans_;  // by the shape's text
  Choices choices_;                    // shape to algorithm
};

}  // namespace zimage::cuda
