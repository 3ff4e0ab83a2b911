// Texts for failures of the CUDA libraries.
#include "backend/cuda/check_cuda.h"

#include <string>
#include <string_view>

#include "base/error.h"

namespace zimage::cuda {
namespace {

std::string place(const std::source_location& where) {
  std::string_view file = where.file_name();
  file.remove_prefix(file.find_last_of('/') == std::string_view::npos ? 0
                                                                      : file.find_last_of('/') + 1);
  return std::string(file) + ":" + std::to_string(where.line());
}

// What the user can do about it; empty where the runtime's own text is all there is.
std::string_view advice(cudaError_t status) {
  switch (status) {
    case cudaErrorNoDevice:
      return "; no NVIDIA device is visible to this process (see nvidia-smi and "
             "CUDA_VISIBLE_DEVICES)";
    case cudaErrorInsufficientDriver:
      return "; the NVIDIA driver is missing or older than this build's CUDA 13 needs (580 or "
             "newer)";
    case cudaErrorNoKernelImageForDevice:
      return "; this build holds no code for the device's architecture";
    case cudaErrorSystemDriverMismatch:
    case cudaErrorSystemNotReady: return "; the NVIDIA driver is not ready (see nvidia-smi)";
    case cudaErrorDevicesUnavailable: return "; another process holds the device exclusively";
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidPc:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
      return "; the device is lost to this process, which has to be started again";
    default: return "";
  }
}

}  // namespace

void check_cuda(cudaError_t status, std::source_location where) {
  if (status == cudaSuccess) return;
  const ErrorCode code =
      status == cudaErrorMemoryAllocation ? ErrorCode::OutOfMemory : ErrorCode::Device;
  throw Error(code, "cuda: " + std::string(cudaGetErrorString(status)) + " (" +
                        cudaGetErrorName(status) + " at " + place(where) + ")" +
                        std::string(advice(status)));
}

void check_cuda(cublasStatus_t status, std::source_location where) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const ErrorCode code =
      status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorCode::OutOfMemory : ErrorCode::Device;
  throw Error(code, "cuda: cuBLASLt: " + std::string(cublasLtGetStatusString(status)) + " (at " +
                        place(where) + ")");
}

void check_cuda(CUresult status, std::source_location where) {
  if (status == CUDA_SUCCESS) return;
  throw Error(ErrorCode::Device, "cuda: driver error " + std::to_string(static_cast<int>(status)) +
                                     " (at " + place(where) + ")");
}

}  // namespace zimage::cuda
