// Floats to the encodings that files are written in; the other direction is dequantize.h. What
// enters: finite numbers; what leaves: their bytes.
#pragma once

#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "base/quant_type.h"

namespace zimage {

// Whether quantize_blocks() has this type.
bool can_quantize(QuantType type);

// Whole blocks of one of ggml's encodings: Q80, Q4K, Q5K or Q6K. `out` has room for the blocks of
// `values`. Q80 rounds to nearest; of the others each group's scale and minimum are searched for
// the least weighted squared error. Precondition: can_quantize(type), and values.size() is a
// multiple of its block. Source: ggml/src/ggml-quants.c (quantize_row_*_ref) of ggml-org/llama.cpp.
void quantize_blocks(std::uint8_t* out, std::span<const float> values, QuantType type);

// Each number / `scale`, rounded to float8_e4m3fn.
void quantize_fp8_e4m3(std::uint8_t* out, std::span<const float> values, float scale);

// The scale that makes `largest`, a tensor's largest magnitude, the largest number of
// float8_e4m3fn; 1 for a tensor of zeros.
float fp8_e4m3_scale(float largest);

// To plain numbers. Precondition: `dtype` is F32, F16 or BF16.
void narrow(void* out, std::span<const float> values, DType dtype);

}  // namespace zimage
