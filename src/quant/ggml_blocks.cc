// Blocks of 32 and super-blocks of 256 numbers, each scale and minimum where ggml keeps it.
#include "quant/ggml_blocks.h"

#include <array>
#include <cstddef>

#include "base/float16.h"

namespace zimage {
namespace {

constexpr int kSmall = 32;
constexpr int kSuper = 256;

float half_at(const std::uint8_t* bytes) {
  return f16_to_float(static_cast<std::uint16_t>(bytes[0] | (bytes[1] << 8)));
}

std::uint32_t word_at(const std::uint8_t* bytes) {
  return bytes[0] | (static_cast<std::uint32_t>(bytes[1]) << 8) |
         (static_cast<std::uint32_t>(bytes[2]) << 16) |
         (static_cast<std::uint32_t>(bytes[3]) << 24);
}

// Number i of 32 whose low halves are the first sixteen.
int nibble(const std::uint8_t* bytes, int i) {
  return i < kSmall / 2 ? bytes[i] & 0xf : bytes[i - kSmall / 2] >> 4;
}

void decode_q8_0(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  for (int i = 0; i < kSmall; ++i)
    out[i] = static_cast<float>(static_cast<std::int8_t>(block[2 + i])) * d;
}

void decode_q4_0(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  for (int i = 0; i < kSmall; ++i) out[i] = d * static_cast<float>(nibble(block + 2, i) - 8);
}

void decode_q4_1(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  const float minimum = half_at(block + 2);
  for (int i = 0; i < kSmall; ++i) out[i] = d * static_cast<float>(nibble(block + 4, i)) + minimum;
}

// Five bits: the fifth of each number is a bit of `high`.
int five_bits(const std::uint8_t* low, std::uint32_t high, int i) {
  return nibble(low, i) | static_cast<int>(((high >> i) & 1U) << 4);
}

void decode_q5_0(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  const std::uint32_t high = word_at(block + 2);
  for (int i = 0; i < kSmall; ++i)
    out[i] = d * static_cast<float>(five_bits(block + 6, high, i) - 16);
}

void decode_q5_1(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  const float minimum = half_at(block + 2);
  const std::uint32_t high = word_at(block + 4);
  for (int i = 0; i < kSmall; ++i)
    out[i] = d * static_cast<float>(five_bits(block + 8, high, i)) + minimum;
}

// scales[16] (low half: scale, high half: minimum), qs[64], d, dmin.
void decode_q2_k(float* out, const std::uint8_t* block) {
  const std::uint8_t* qs = block + 16;
  const float d = half_at(block + 80);
  const float dmin = half_at(block + 82);
  for (int i = 0; i < kSuper; ++i) {
    const std::uint8_t scale = block[i / 16];
    const int q = (qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
    out[i] = d * static_cast<float>(scale & 0xf) * static_cast<float>(q) -
             dmin * static_cast<float>(scale >> 4);
  }
}

// hmask[32], qs[64], scales[12] of six bits, d. A clear bit of hmask subtracts 4.
void decode_q3_k(float* out, const std::uint8_t* block) {
  const std::uint8_t* qs = block + 32;
  const std::uint8_t* packed = block + 96;
  const float d = half_at(block + 108);
  std::array<float, 16> scales{};
  for (int i = 0; i < 16; ++i) {
    const int low = i < 8 ? packed[i] & 0xf : packed[i - 8] >> 4;
    const int high = (packed[8 + i % 4] >> (i / 4 * 2)) & 3;
    scales[static_cast<std::size_t>(i)] = d * static_cast<float>((low | (high << 4)) - 32);
  }
  for (int i = 0; i < kSuper; ++i) {
    const int low = (qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
    const int high = (block[i % 32] >> (i / 32)) & 1;
    out[i] =
        scales[static_cast<std::size_t>(i / 16)] * static_cast<float>(low - (high != 0 ? 0 : 4));
  }
}

struct ScaleAndMinimum {
  float scale;
  float minimum;
};

// Six bits each of group 0 to 7 out of the twelve bytes of Q4_K and Q5_K.
ScaleAndMinimum scale_of_group(const std::uint8_t* packed, int group) {
  if (group < 4) {
    return {static_cast<float>(packed[group] & 63), static_cast<float>(packed[group + 4] & 63)};
  }
  const int scale = (packed[group + 4] & 0xf) | (packed[group - 4] >> 6 << 4);
  const int minimum = (packed[group + 4] >> 4) | (packed[group] >> 6 << 4);
  return {static_cast<float>(scale), static_cast<float>(minimum)};
}

// d, dmin, scales[12], then four bits of each number at `qs` and, where there is a fifth, that at
// `high`, or null.
void decode_groups(float* out, const std::uint8_t* block, const std::uint8_t* qs,
                   const std::uint8_t* high) {
  const float d = half_at(block);
  const float dmin = half_at(block + 2);
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMinimum packed = scale_of_group(block + 4, group);
    const float scale = d * packed.scale;
    const float minimum = dmin * packed.minimum;
    const std::uint8_t* bytes = qs + group / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int low = (bytes[i] >> (group % 2 * 4)) & 0xf;
      const int q = high == nullptr ? low : low | (((high[i] >> group) & 1) << 4);
      out[group * 32 + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

// d, dmin, scales[12], qs[128].
void decode_q4_k(float* out, const std::uint8_t* block) {
  decode_groups(out, block, block + 16, nullptr);
}

// d, dmin, scales[12], qh[32], qs[128].
void decode_q5_k(float* out, const std::uint8_t* block) {
  decode_groups(out, block, block + 48, block + 16);
}

// ql[128], qh[64], scales[16] signed, d.
void decode_q6_k(float* out, const std::uint8_t* block) {
  const std::uint8_t* high = block + 128;
  const std::uint8_t* scales = block + 192;
  const float d = half_at(block + 208);
  for (int i = 0; i < kSuper; ++i) {
    const int half = i / 128;
    const int quarter = i % 128 / 32;
    const int low = (block[half * 64 + i % 64] >> (quarter / 2 * 4)) & 0xf;
    const int top = (high[half * 32 + i % 32] >> (quarter * 2)) & 3;
    const float scale = d * static_cast<float>(static_cast<std::int8_t>(scales[i / 16]));
    out[i] = scale * static_cast<float>((low | (top << 4)) - 32);
  }
}

// Source: kvalues_iq4nl of ggml-common.h.
constexpr std::array<float, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                              1,    13,   25,  38,  53,  69,  89,  113};

void decode_iq4_nl(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  for (int i = 0; i < kSmall; ++i)
    out[i] = d * kIq4Values[static_cast<std::size_t>(nibble(block + 2, i))];
}

// d, scales_h (two bits a group), scales_l[4] (four bits a group), qs[128].
void decode_iq4_xs(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  const int high = block[2] | (block[3] << 8);
  for (int group = 0; group < 8; ++group) {
    const int low = (block[4 + group / 2] >> (group % 2 * 4)) & 0xf;
    const float scale = d * static_cast<float>((low | (((high >> (2 * group)) & 3) << 4)) - 32);
    const std::uint8_t* qs = block + 8 + group * 16;
    for (int i = 0; i < kSmall; ++i)
      out[group * 32 + i] = scale * kIq4Values[static_cast<std::size_t>(nibble(qs, i))];
  }
}

}  // namespace

DecodeBlock ggml_decoder(QuantType type) {
  switch (type) {
    case QuantType::None:
    case QuantType::Fp8E4M3:
    case QuantType::Fp8E5M2:
    case QuantType::Int8:
    case QuantType::Nvfp4: return nullptr;
    case QuantType::Q80: return decode_q8_0;
    case QuantType::Q40: return decode_q4_0;
    case QuantType::Q41: return decode_q4_1;
    case QuantType::Q50: return decode_q5_0;
    case QuantType::Q51: return decode_q5_1;
    case QuantType::Q2K: return decode_q2_k;
    case QuantType::Q3K: return decode_q3_k;
    case QuantType::Q4K: return decode_q4_k;
    case QuantType::Q5K: return decode_q5_k;
    case QuantType::Q6K: return decode_q6_k;
    case QuantType::Iq4Nl: return decode_iq4_nl;
    case QuantType::Iq4Xs: return decode_iq4_xs;
  }
  return nullptr;
}

}  // namespace zimage
