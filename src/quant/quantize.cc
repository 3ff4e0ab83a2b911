// Block by block, number by number.
#include "quant/quantize.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/float16.h"
#include "quant/ggml_encode.h"
#include "quant/narrow.h"

namespace zimage {

bool can_quantize(QuantType type) {
  return ggml_encoder(type) != nullptr;
}

void quantize_blocks(std::uint8_t* out, std::span<const float> values, QuantType type) {
  const EncodeBlock encode = ggml_encoder(type);
  const QuantBlock block = block_of(type);
  const auto elements = static_cast<std::size_t>(block.elements);
  assert(encode != nullptr && values.size() % elements == 0);
  for (; !values.empty(); values = values.subspan(elements)) {
    encode(out, values.data());
    out += block.bytes;
  }
}

void quantize_fp8_e4m3(std::uint8_t* out, std::span<const float> values, float scale) {
  const float inverse = 1.0F / scale;
  std::ranges::transform(values, out,
                         [inverse](float value) { return float_to_fp8_e4m3(value * inverse); });
}

float fp8_e4m3_scale(float largest) {
  constexpr float kLargest = 448.0F;
  const float scale = largest / kLargest;
  // Of subnormal numbers the inverse is infinite.
  return scale < 0x1p-126F ? 1.0F : scale;
}

void narrow(void* out, std::span<const float> values, DType dtype) {
  assert(dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16);
  if (dtype == DType::F32) {
    std::memcpy(out, values.data(), values.size_bytes());
  } else {
    std::ranges::transform(values, static_cast<std::uint16_t*>(out),
                           dtype == DType::BF16 ? float_to_bf16 : float_to_f16);
  }
}

}  // namespace zimage
