// Blocks of 32 and super-blocks of 256 numbers, each scale and minimum where ggml keeps it.
#include "quant/ggml_blocks.h"

#include <array>
#include <cstddef>

#include "base/float16.h"

namespace zimage {
namespace {

constexpr int kSmall = 32;
constexpr int kSuper = 256;
// Numbers that share a scale in q2_k, q3_k and q6_k.
constexpr int kGroup = 16;
constexpr int kGroups = kSuper / kGroup;

float half_at(const std::uint8_t* bytes) {
  return f16_to_float(static_cast<std::uint16_t>(bytes[0] | (bytes[1] << 8)));
}

std::uint32_t word_at(const std::uint8_t* bytes) {
  return bytes[0] | (static_cast<std::uint32_t>(bytes[1]) << 8) |
         (static_cast<std::uint32_t>(bytes[2]) << 16) |
         (static_cast<std::uint32_t>(bytes[3]) << 24);
}

// The 32 numbers number_of(nibble, i), the low nibbles of 16 bytes and then the high ones: in loops
// without a condition, which compilers turn into vector code.
template <typename NumberOf>
void decode_nibbles(float* out, const std::uint8_t* bytes, NumberOf number_of) {
  for (int i = 0; i < kSmall / 2; ++i) out[i] = number_of(bytes[i] & 0xf, i);
  for (int i = 0; i < kSmall / 2; ++i)
    out[kSmall / 2 + i] = number_of(bytes[i] >> 4, kSmall / 2 + i);
}

void decode_q8_0(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  for (int i = 0; i < kSmall; ++i)
    out[i] = static_cast<float>(static_cast<std::int8_t>(block[2 + i])) * d;
}

void decode_q4_0(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  decode_nibbles(out, block + 2, [d](int q, int /*i*/) { return d * static_cast<float>(q - 8); });
}

void decode_q4_1(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  const float minimum = half_at(block + 2);
  decode_nibbles(out, block + 4,
                 [=](int q, int /*i*/) { return d * static_cast<float>(q) + minimum; });
}

// The fifth bit of number i, where it belongs.
int fifth_bit(std::uint32_t high, int i) {
  return static_cast<int>(((high >> i) & 1U) << 4);
}

void decode_q5_0(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  const std::uint32_t high = word_at(block + 2);
  decode_nibbles(out, block + 6, [=](int q, int i) {
    return d * static_cast<float>((q | fifth_bit(high, i)) - 16);
  });
}

void decode_q5_1(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  const float minimum = half_at(block + 2);
  const std::uint32_t high = word_at(block + 4);
  decode_nibbles(out, block + 8, [=](int q, int i) {
    return d * static_cast<float>(q | fifth_bit(high, i)) + minimum;
  });
}

// scales[16] (low half: scale, high half: minimum), qs[64], d, dmin.
void decode_q2_k(float* out, const std::uint8_t* block) {
  const std::uint8_t* qs = block + 16;
  const float d = half_at(block + 80);
  const float dmin = half_at(block + 82);
  for (int group = 0; group < kGroups; ++group) {
    const float scale = d * static_cast<float>(block[group] & 0xf);
    const float minimum = dmin * static_cast<float>(block[group] >> 4);
    const std::uint8_t* bytes = qs + group / 8 * 32 + group % 2 * kGroup;
    const int shift = group % 8 / 2 * 2;
    for (int i = 0; i < kGroup; ++i) {
      out[group * kGroup + i] = scale * static_cast<float>((bytes[i] >> shift) & 3) - minimum;
    }
  }
}

// hmask[32], qs[64], scales[12] of six bits, d. A clear bit of hmask subtracts 4.
void decode_q3_k(float* out, const std::uint8_t* block) {
  const std::uint8_t* qs = block + 32;
  const std::uint8_t* packed = block + 96;
  const float d = half_at(block + 108);
  for (int group = 0; group < kGroups; ++group) {
    const int low = group < 8 ? packed[group] & 0xf : packed[group - 8] >> 4;
    const int high = (packed[8 + group % 4] >> (group / 4 * 2)) & 3;
    const float scale = d * static_cast<float>((low | (high << 4)) - 32);
    const int column = group % 2 * kGroup;
    const std::uint8_t* bytes = qs + group / 8 * 32 + column;
    const int shift = group % 8 / 2 * 2;
    for (int i = 0; i < kGroup; ++i) {
      const int set = (block[column + i] >> (group / 2)) & 1;
      const int q = ((bytes[i] >> shift) & 3) + (set << 2) - 4;
      out[group * kGroup + i] = scale * static_cast<float>(q);
    }
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
  for (int group = 0; group < kGroups; ++group) {
    const int half = group / 8;
    const int quarter = group % 8 / 2;
    const std::uint8_t* low = block + half * 64 + group % 4 * kGroup;
    const std::uint8_t* top = high + half * 32 + group % 2 * kGroup;
    const float scale = d * static_cast<float>(static_cast<std::int8_t>(scales[group]));
    for (int i = 0; i < kGroup; ++i) {
      const int q = ((low[i] >> (quarter / 2 * 4)) & 0xf) | (((top[i] >> (quarter * 2)) & 3) << 4);
      out[group * kGroup + i] = scale * static_cast<float>(q - 32);
    }
  }
}

// Source: kvalues_iq4nl of ggml-common.h.
constexpr std::array<float, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                              1,    13,   25,  38,  53,  69,  89,  113};

void decode_iq4_nl(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  decode_nibbles(out, block + 2,
                 [d](int q, int /*i*/) { return d * kIq4Values[static_cast<std::size_t>(q)]; });
}

// d, scales_h (two bits a group), scales_l[4] (four bits a group), qs[128].
void decode_iq4_xs(float* out, const std::uint8_t* block) {
  const float d = half_at(block);
  const int high = block[2] | (block[3] << 8);
  for (int group = 0; group < 8; ++group) {
    const int low = (block[4 + group / 2] >> (group % 2 * 4)) & 0xf;
    const float scale = d * static_cast<float>((low | (((high >> (2 * group)) & 3) << 4)) - 32);
    const std::uint8_t* qs = block + 8 + group * 16;
    decode_nibbles(out + group * kSmall, qs, [scale](int q, int /*i*/) {
      return scale * kIq4Values[static_cast<std::size_t>(q)];
    });
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
