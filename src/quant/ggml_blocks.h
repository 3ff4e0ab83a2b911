// One block of each of ggml's encodings as numbers. Source: gguf-py/gguf/quants.py and
// ggml/src/ggml-quants.c (dequantize_row_*) of ggml-org/llama.cpp.
#pragma once

#include <cstdint>

#include "base/quant_type.h"

namespace zimage {

// Writes block_of(type).elements numbers from block_of(type).bytes bytes.
using DecodeBlock = void (*)(float* out, const std::uint8_t* block);

// Null for a type that is none of ggml's.
DecodeBlock ggml_decoder(QuantType type);

}  // namespace zimage
