// cuTensorMapEncodeTiled, found at run time so that the program starts without a driver.
#include "backend/cuda/tensor_map.h"

#include <cudaTypedefs.h>

#include <array>

#include "backend/cuda/check_cuda.h"
#include "base/error.h"

namespace zimage::cuda {
namespace {

constexpr cuuint32_t kBoxBytes = 128;  // the width of the swizzle

cuuint32_t bytes_of(MapType type) {
  return type == MapType::Fp8 ? 1 : 2;
}

PFN_cuTensorMapEncodeTiled_v12000 encoder() {
  static const auto kFunction = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                cudaEnableDefault, &found));
    if (found != cudaDriverEntryPointSuccess) {
      throw Error(ErrorCode::Device, "cuda: the driver has no cuTensorMapEncodeTiled");
    }
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  }();
  return kFunction;
}

template <std::size_t kRank>
CUtensorMap encode(MapType type, const void* data, const std::array<cuuint64_t, kRank>& extents,
                   const std::array<cuuint64_t, kRank - 1>& strides,
                   const std::array<cuuint32_t, kRank>& box) {
  std::array<cuuint32_t, kRank> steps{};
  steps.fill(1);
  CUtensorMap map{};
  const CUtensorMapDataType data_type =
      type == MapType::Fp8 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  check_cuda(encoder()(&map, data_type, kRank, const_cast<void*>(data), extents.data(),
                       strides.data(), box.data(), steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE,
                       CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                       CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
  return map;
}

}  // namespace

CUtensorMap map_matrix(const void* data, std::int64_t rows, std::int64_t columns,
                       std::int64_t stride, int box_rows, MapType type) {
  return encode<2>(type, data, {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)},
                   {static_cast<cuuint64_t>(stride) * bytes_of(type)},
                   {kBoxBytes / bytes_of(type), static_cast<cuuint32_t>(box_rows)});
}

CUtensorMap map_pixels(const void* data, const MapExtent& extent, int box_height, int box_width) {
  return encode<3>(
      MapType::Bf16, data,
      {static_cast<cuuint64_t>(extent.channels), static_cast<cuuint64_t>(extent.width),
       static_cast<cuuint64_t>(extent.height)},
      {static_cast<cuuint64_t>(extent.pixel) * 2, static_cast<cuuint64_t>(extent.row) * 2},
      {kBoxBytes / 2, static_cast<cuuint32_t>(box_width), static_cast<cuuint32_t>(box_height)});
}

}  // namespace zimage::cuda
