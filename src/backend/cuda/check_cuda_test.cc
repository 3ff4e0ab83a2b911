// What people read when a card fails; needs neither card nor driver.
#include "backend/cuda/check_cuda.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "error_of.h"

namespace zimage::cuda {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(CheckCuda, SaysThatALostDeviceNeedsANewProcess) {
  for (const cudaError_t status : {cudaErrorIllegalAddress, cudaErrorLaunchFailure,
                                   cudaErrorIllegalInstruction, cudaErrorECCUncorrectable}) {
    const Error error = error_of([&] { check_cuda(status); });
    EXPECT_EQ(error.code(), ErrorCode::Device);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("cuda: "), HasSubstr("check_cuda_test.cc:"),
                      HasSubstr("lost to this process, which has to be started again")));
  }
}

TEST(CheckCuda, SaysWhatIsMissing) {
  EXPECT_THAT(error_of([] { check_cuda(cudaErrorNoDevice); }).what(),
              HasSubstr("no NVIDIA device is visible to this process"));
  EXPECT_THAT(error_of([] { check_cuda(cudaErrorInsufficientDriver); }).what(),
              HasSubstr("580 or newer"));
  EXPECT_THAT(error_of([] { check_cuda(cudaErrorNoKernelImageForDevice); }).what(),
              HasSubstr("no code for the device's architecture"));
}

TEST(CheckCuda, TellsMemoryFromFaults) {
  EXPECT_EQ(error_of([] { check_cuda(cudaErrorMemoryAllocation); }).code(), ErrorCode::OutOfMemory);
  EXPECT_EQ(error_of([] { check_cuda(CUBLAS_STATUS_ALLOC_FAILED); }).code(),
            ErrorCode::OutOfMemory);
  EXPECT_EQ(error_of([] { check_cuda(CUBLAS_STATUS_EXECUTION_FAILED); }).code(), ErrorCode::Device);
  EXPECT_NO_THROW(check_cuda(cudaSuccess));
}

}  // namespace
}  // namespace zimage::cuda
