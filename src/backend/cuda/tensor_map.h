// Descriptors for the bulk tensor copy engine (TMA) of Hopper and later.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace zimage::cuda {

enum class MapType : std::uint8_t { Bf16, Fp8 };

// A matrix of `rows` rows of `columns` numbers, `stride` numbers apart, copied in boxes of box_rows
// rows of 128 bytes into shared memory in the 128-byte swizzle. What lies outside reads as zero and
// is not written. Precondition: address and stride are multiples of 16 bytes.
CUtensorMap map_matrix(const void* data, std::int64_t rows, std::int64_t columns,
                       std::int64_t stride, int box_rows, MapType type = MapType::Bf16);

// A bf16 map [height, width, channels] in boxes of [box_height, box_width, 64]; `pixel` and `row`
// are the strides in numbers.
struct MapExtent {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 0;
  std::int64_t pixel = 0;
  std::int64_t row = 0;
};
CUtensorMap map_pixels(const void* data, const MapExtent& extent, int box_height, int box_width);

}  // namespace zimage::cuda
