// Numbers as one block of those of ggml's encodings that files are written in. The other direction
// is ggml_blocks.h.
#pragma once

#include <cstdint>

#include "base/quant_type.h"

namespace zimage {

// Writes block_of(type).bytes bytes for block_of(type).elements finite numbers.
using EncodeBlock = void (*)(std::uint8_t* block, const float* values);

// Null for a type that is not written.
EncodeBlock ggml_encoder(QuantType type);

}  // namespace zimage
