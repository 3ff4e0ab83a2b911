// Scales are searched group by group, then stored as shares of their block's largest.
#include "quant/ggml_encode.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "base/float16.h"
#include "quant/narrow.h"

namespace zimage {
namespace {

// Four numbers, which one instruction of any processor handles.
using Lanes = float __attribute__((vector_size(16)));
constexpr std::size_t kLanes = 4;

// The numbers of one group; kVectors of four.
template <std::size_t kVectors>
using Group = std::array<Lanes, kVectors>;

constexpr std::size_t kSuper = 256;
constexpr std::size_t kGroup = 32;       // of Q4_K and Q5_K
constexpr std::size_t kSmallGroup = 16;  // of Q6_K
constexpr float kMaxHalf = 65504.0F;
// Groups whose numbers differ by less are constant to every encoding.
constexpr float kLeastRange = 0x1p-100F;

Lanes all(float value) {
  return Lanes{value, value, value, value};
}

// To the nearest integer, ties to even, of magnitudes below 2^22.
Lanes round_lanes(Lanes x) {
  const Lanes magic = all(0x1.8p23F);
  return (x + magic) - magic;
}

Lanes clamp_lanes(Lanes x, float least, float most) {
  const Lanes low = all(least);
  const Lanes high = all(most);
  x = x < low ? low : x;
  return x > high ? high : x;
}

float sum(Lanes x) {
  return (x[0] + x[2]) + (x[1] + x[3]);
}

template <std::size_t kVectors>
Group<kVectors> load(const float* values) {
  Group<kVectors> group;
  for (std::size_t i = 0; i < kVectors; ++i) {
    const float* const x = values + i * kLanes;
    group[i] = Lanes{x[0], x[1], x[2], x[3]};
  }
  return group;
}

void store_half(std::uint8_t* bytes, float value) {
  const std::uint16_t half = float_to_f16(std::clamp(value, -kMaxHalf, kMaxHalf));
  bytes[0] = static_cast<std::uint8_t>(half & 0xffU);
  bytes[1] = static_cast<std::uint8_t>(half >> 8);
}

// What store_half() keeps of a number.
float as_half(float value) {
  return f16_to_float(float_to_f16(std::clamp(value, -kMaxHalf, kMaxHalf)));
}

// The same of one number.
int round_to_int(float value) {
  constexpr float kMagic = 0x1.8p23F;
  return static_cast<int>((value + kMagic) - kMagic);
}

void encode_q8_0(std::uint8_t* block, const float* values) {
  constexpr int kCount = 32;
  float largest = 0;
  for (int i = 0; i < kCount; ++i) largest = std::max(largest, std::abs(values[i]));
  const float d = largest / 127.0F;
  const float inverse = d < kLeastRange ? 0.0F : 1.0F / d;
  store_half(block, d);
  for (int i = 0; i < kCount; ++i) {
    const float q = std::round(values[i] * inverse);
    block[2 + i] = static_cast<std::uint8_t>(static_cast<std::int8_t>(q));
  }
}

// x is about scale * q - minimum, minimum >= 0.
struct Affine {
  float scale = 0;
  float minimum = 0;
};

// A group of Q4_K or Q5_K and what its search needs.
class AffineSearch {
 public:
  static constexpr std::size_t kVectors = kGroup / kLanes;

  AffineSearch(const float* values, float most) : x_(load<kVectors>(values)), most_(most) {
    const auto [least, largest] = std::minmax_element(values, values + kGroup);
    least_ = std::min(*least, 0.0F);
    largest_ = *largest;
    Lanes squares{};
    for (const Lanes x : x_) squares += x * x;
    // Large numbers weigh more: what they are multiplied with is seen in the result.
    const Lanes typical = all(std::sqrt(sum(squares) / static_cast<float>(kGroup)));
    Lanes w_sum{};
    Lanes wx{};
    Lanes wxx{};
    for (std::size_t i = 0; i < kVectors; ++i) {
      w_[i] = typical + (x_[i] < 0.0F ? -x_[i] : x_[i]);
      w_sum += w_[i];
      wx += w_[i] * x_[i];
      wxx += w_[i] * x_[i] * x_[i];
    }
    w_sum_ = sum(w_sum);
    wx_ = sum(wx);
    wxx_ = sum(wxx);
  }

  // The best of `steps` + 1 fits: the numbers are quantized as if they spread over a little fewer
  // or more levels than there are, from the best minimum so far, then scale and minimum follow by
  // least squares.
  Affine best(float first, int steps) const {
    constexpr float kStep = 0.1F;
    const float range = largest_ - least_;
    if (range < kLeastRange) return {.scale = 0, .minimum = -least_};
    Affine found{.scale = range / most_, .minimum = -least_};
    double least_error = squared_error(found, quantized(found.minimum, most_ / range));
    for (int step = 0; step <= steps; ++step) {
      const float levels = most_ + first + kStep * static_cast<float>(step);
      const Sums sums = quantized(found.minimum, levels / (largest_ + found.minimum));
      const Affine fit = least_squares(sums);
      const double error = squared_error(fit, sums);
      if (error < least_error && fit.scale > 0) {
        least_error = error;
        found = fit;
      }
    }
    return found;
  }

 private:
  // Weighted sums over the group: of q, q^2 and x q.
  struct Sums {
    double q, qq, xq;
  };

  Sums quantized(float minimum, float inverse) const {
    Lanes wq{};
    Lanes wqq{};
    Lanes wxq{};
    for (std::size_t i = 0; i < kVectors; ++i) {
      const Lanes level = (x_[i] + all(minimum)) * all(inverse);
      const Lanes q = clamp_lanes(round_lanes(level), 0.0F, most_);
      const Lanes weighted = w_[i] * q;
      wq += weighted;
      wqq += weighted * q;
      wxq += weighted * x_[i];
    }
    return {.q = sum(wq), .qq = sum(wqq), .xq = sum(wxq)};
  }

  Affine least_squares(const Sums& sums) const {
    const double determinant = w_sum_ * sums.qq - sums.q * sums.q;
    if (determinant <= 0) return {};
    const double scale = (w_sum_ * sums.xq - wx_ * sums.q) / determinant;
    const double offset = (sums.qq * wx_ - sums.q * sums.xq) / determinant;
    if (offset > 0) return {.scale = static_cast<float>(sums.xq / sums.qq), .minimum = 0};
    return {.scale = static_cast<float>(scale), .minimum = static_cast<float>(-offset)};
  }

  double squared_error(const Affine& fit, const Sums& sums) const {
    const double s = fit.scale;
    const double m = fit.minimum;
    return wxx_ + s * s * sums.qq + m * m * w_sum_ - 2 * s * sums.xq + 2 * m * wx_ -
           2 * s * m * sums.q;
  }

  Group<kVectors> x_;
  Group<kVectors> w_;
  float most_;
  float least_ = 0;
  float largest_ = 0;
  double w_sum_ = 0;
  double wx_ = 0;
  double wxx_ = 0;
};

// Six bits of scale and of minimum for each of eight groups, in twelve bytes.
void store_scale(std::uint8_t* packed, int group, unsigned scale, unsigned minimum) {
  const auto add = [packed](int at, unsigned bits) {
    packed[at] = static_cast<std::uint8_t>(packed[at] | bits);
  };
  if (group < 4) {
    add(group, scale);
    add(group + 4, minimum);
  } else {
    add(group + 4, (scale & 0xfU) | ((minimum & 0xfU) << 4));
    add(group - 4, scale >> 4 << 6);
    add(group, minimum >> 4 << 6);
  }
}

// The numbers of one group of Q4_K or Q5_K into its four-bit places and, where there are, the fifth
// bits at `high`.
void store_group(std::uint8_t* qs, std::uint8_t* high, int group, const float* values,
                 const Affine& fit) {
  const int most = high == nullptr ? 15 : 31;
  std::uint8_t* const bytes = qs + group / 2 * 32;
  for (int i = 0; i < static_cast<int>(kGroup); ++i) {
    int q = 0;
    if (fit.scale > 0) {
      const float level = (values[i] + fit.minimum) / fit.scale;
      q = round_to_int(std::clamp(level, 0.0F, static_cast<float>(most)));
    }
    bytes[i] = static_cast<std::uint8_t>(bytes[i] | ((q & 0xf) << (group % 2 * 4)));
    if (high != nullptr) high[i] = static_cast<std::uint8_t>(high[i] | ((q >> 4) << group));
  }
}

// d, dmin, scales[12] at `block`, the bits at `qs` and `high`.
void encode_groups(std::uint8_t* block, const float* values, std::uint8_t* qs, std::uint8_t* high) {
  constexpr int kGroups = kSuper / kGroup;
  static constexpr float kMostScale = 63;
  std::array<Affine, kGroups> fits;
  Affine largest;
  for (std::size_t group = 0; group < kGroups; ++group) {
    const AffineSearch search(values + group * kGroup, high == nullptr ? 15 : 31);
    fits[group] = high == nullptr ? search.best(-1.0F, 20) : search.best(-0.5F, 15);
    largest.scale = std::max(largest.scale, fits[group].scale);
    largest.minimum = std::max(largest.minimum, fits[group].minimum);
  }
  const Affine unit{.scale = as_half(largest.scale / kMostScale),
                    .minimum = as_half(largest.minimum / kMostScale)};
  store_half(block, unit.scale);
  store_half(block + 2, unit.minimum);
  // Shares of what the half keeps, not of what was asked for: small halves are coarse.
  const auto share = [](float value, float whole) {
    return whole > 0 ? static_cast<unsigned>(round_to_int(std::min(value / whole, kMostScale)))
                     : 0U;
  };
  for (std::size_t group = 0; group < kGroups; ++group) {
    const unsigned scale = share(fits[group].scale, unit.scale);
    const unsigned minimum = share(fits[group].minimum, unit.minimum);
    store_scale(block + 4, static_cast<int>(group), scale, minimum);
    store_group(qs, high, static_cast<int>(group), values + group * kGroup,
                {.scale = unit.scale * static_cast<float>(scale),
                 .minimum = unit.minimum * static_cast<float>(minimum)});
  }
}

void encode_q4_k(std::uint8_t* block, const float* values) {
  std::fill_n(block, block_of(QuantType::Q4K).bytes, std::uint8_t{0});
  encode_groups(block, values, block + 16, nullptr);
}

void encode_q5_k(std::uint8_t* block, const float* values) {
  std::fill_n(block, block_of(QuantType::Q5K).bytes, std::uint8_t{0});
  encode_groups(block, values, block + 48, block + 16);
}

// The scale of one group of Q6_K: of x about scale * q, q from -32 to 31, that with the least
// squared error among those that place the largest number near an end.
float symmetric_scale(const float* values) {
  constexpr std::size_t kVectors = kSmallGroup / kLanes;
  constexpr float kLevels = 32;
  constexpr int kSteps = 9;
  const float largest = *std::max_element(
      values, values + kSmallGroup, [](float a, float b) { return std::abs(a) < std::abs(b); });
  if (std::abs(largest) < kLeastRange) return 0;
  const Group<kVectors> x = load<kVectors>(values);
  float best = 0;
  float scale = 0;
  for (int step = -kSteps; step <= kSteps; ++step) {
    // The largest number becomes -32, the end that has one level more.
    const float inverse = -(kLevels + 0.1F * static_cast<float>(step)) / largest;
    Lanes xq{};
    Lanes qq{};
    for (const Lanes number : x) {
      const Lanes q = clamp_lanes(round_lanes(number * all(inverse)), -kLevels, kLevels - 1);
      const Lanes w = number * number;
      xq += w * number * q;
      qq += w * q * q;
    }
    const float product = sum(xq);
    const float squares = sum(qq);
    // The error falls by product^2 / squares.
    if (squares > 0 && product * product > best * squares) {
      scale = product / squares;
      best = product * scale;
    }
  }
  return scale;
}

void encode_q6_k(std::uint8_t* block, const float* values) {
  constexpr std::size_t kGroups = kSuper / kSmallGroup;
  std::uint8_t* const high = block + 128;
  std::uint8_t* const scales = block + 192;
  std::fill_n(block, block_of(QuantType::Q6K).bytes, std::uint8_t{0});
  std::array<float, kGroups> found{};
  float largest = 0;
  for (std::size_t group = 0; group < kGroups; ++group) {
    found[group] = symmetric_scale(values + group * kSmallGroup);
    if (std::abs(found[group]) > std::abs(largest)) largest = found[group];
  }
  const float d = as_half(largest / -128.0F);
  if (d == 0) return;
  store_half(block + 208, d);
  for (std::size_t i = 0; i < kSuper; ++i) {
    const std::size_t group = i / kSmallGroup;
    const int scale = round_to_int(std::clamp(found[group] / d, -128.0F, 127.0F));
    scales[group] = static_cast<std::uint8_t>(static_cast<std::int8_t>(scale));
    const float step = d * static_cast<float>(scale);
    const float level = step == 0 ? 0.0F : std::clamp(values[i] / step, -32.0F, 31.0F);
    const int q = round_to_int(level) + 32;
    const std::size_t half = i / 128;
    const std::size_t quarter = i % 128 / 32;
    std::uint8_t& low_bits = block[half * 64 + i % 64];
    std::uint8_t& high_bits = high[half * 32 + i % 32];
    low_bits = static_cast<std::uint8_t>(low_bits | ((q & 0xf) << (quarter / 2 * 4)));
    high_bits = static_cast<std::uint8_t>(high_bits | ((q >> 4) << (quarter * 2)));
  }
}

}  // namespace

EncodeBlock ggml_encoder(QuantType type) {
  switch (type) {
    case QuantType::Q80: return encode_q8_0;
    case QuantType::Q4K: return encode_q4_k;
    case QuantType::Q5K: return encode_q5_k;
    case QuantType::Q6K: return encode_q6_k;
    default: return nullptr;
  }
}

}  // namespace zimage
