// Encodings of numbers in files that are no plain DType: quantized to a byte or less.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace zimage {

// Where the scales lie: Fp8 and Int8 have one for a tensor or one for each row, beside the numbers;
// Nvfp4 has one for a tensor and one for each block of 16, beside the numbers; all others keep the
// scales of a block inside it.
enum class QuantType : std::uint8_t {
  None,     // a plain DType
  Fp8E4M3,  // torch.float8_e4m3fn
  Fp8E5M2,  // torch.float8_e5m2
  Int8,
  Nvfp4,  // two e2m1 numbers a byte, the first in the high half
  // ggml's blocks. Source: ggml-common.h of ggml-org/llama.cpp.
  Q80,
  Q40,
  Q41,
  Q50,
  Q51,
  Q2K,
  Q3K,
  Q4K,
  Q5K,
  Q6K,
  Iq4Nl,
  Iq4Xs,
};

// The unit that numbers are encoded in. A row of a matrix is a whole number of blocks.
struct QuantBlock {
  std::int64_t elements = 1;
  std::size_t bytes = 0;  // without the scales that lie beside the numbers
};

constexpr QuantBlock block_of(QuantType type) {
  switch (type) {
    case QuantType::None: return {1, 0};
    case QuantType::Fp8E4M3:
    case QuantType::Fp8E5M2:
    case QuantType::Int8: return {1, 1};
    case QuantType::Nvfp4: return {16, 8};
    case QuantType::Q80: return {32, 34};
    case QuantType::Q40: return {32, 18};
    case QuantType::Q41: return {32, 20};
    case QuantType::Q50: return {32, 22};
    case QuantType::Q51: return {32, 24};
    case QuantType::Q2K: return {256, 84};
    case QuantType::Q3K: return {256, 110};
    case QuantType::Q4K: return {256, 144};
    case QuantType::Q5K: return {256, 176};
    case QuantType::Q6K: return {256, 210};
    case QuantType::Iq4Nl: return {32, 18};
    case QuantType::Iq4Xs: return {256, 136};
  }
  return {1, 0};
}

// "fp8_e4m3", "q4_k", ...: the spelling of `zimage info` and of messages.
constexpr std::string_view name_of(QuantType type) {
  switch (type) {
    case QuantType::None: return "plain";
    case QuantType::Fp8E4M3: return "fp8_e4m3";
    case QuantType::Fp8E5M2: return "fp8_e5m2";
    case QuantType::Int8: return "int8";
    case QuantType::Nvfp4: return "nvfp4";
    case QuantType::Q80: return "q8_0";
    case QuantType::Q40: return "q4_0";
    case QuantType::Q41: return "q4_1";
    case QuantType::Q50: return "q5_0";
    case QuantType::Q51: return "q5_1";
    case QuantType::Q2K: return "q2_k";
    case QuantType::Q3K: return "q3_k";
    case QuantType::Q4K: return "q4_k";
    case QuantType::Q5K: return "q5_k";
    case QuantType::Q6K: return "q6_k";
    case QuantType::Iq4Nl: return "iq4_nl";
    case QuantType::Iq4Xs: return "iq4_xs";
  }
  return "?";
}

}  // namespace zimage
