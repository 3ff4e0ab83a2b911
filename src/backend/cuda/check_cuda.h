// From a CUDA, cuBLASLt or driver status to zimage::Error, with the place that asked.
#pragma once

#include <cublasLt.h>
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <source_location>

namespace zimage::cuda {

// Throws OutOfMemory for a failed allocation and Device for everything else; the text says which
// call failed, where, and what helps (no driver, driver too old, no device, wrong architecture, a
// fault that stays with the process).
void check_cuda(cudaError_t status, std::source_location where = std::source_location::current());
void check_cuda(cublasStatus_t status,
                std::source_location where = std::source_location::current());
void check_cuda(CUresult status, std::source_location where = std::source_location::current());

// The status of the kernel launch just made.
inline void check_launch(std::source_location where = std::source_location::current()) {
  check_cuda(cudaGetLastError(), where);
}

}  // namespace zimage::cuda
