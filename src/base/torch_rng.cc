// Mersenne twister and Philox streams turned to normals by torch's own rules. Which steps round to
// float32 is part of those rules: an angle of 6 rounded differently moves a value by 1e-6.
#include "base/torch_rng.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace zimage {
namespace {

constexpr std::size_t kFillBlock = 16;  // torch pairs value j with value j + 8 inside such a block
constexpr float kTwoPi = 2.0F * std::numbers::pi_v<float>;

// Box-Muller in place on 16 uniforms of [0, 1).
void transform_block(float* block) {
  for (std::size_t j = 0; j < kFillBlock / 2; ++j) {
    const float radius = std::sqrt(-2.0F * std::log(1.0F - block[j]));
    const float theta = kTwoPi * block[j + kFillBlock / 2];
    block[j] = radius * std::cos(theta);
    block[j + kFillBlock / 2] = radius * std::sin(theta);
  }
}

struct Multiplied {
  std::uint32_t high;
  std::uint32_t low;
};

Multiplied multiply(std::uint32_t a, std::uint32_t b) {
  const std::uint64_t product = std::uint64_t{a} * b;
  return {static_cast<std::uint32_t>(product >> 32), static_cast<std::uint32_t>(product)};
}

// Philox4x32-10: four random words of block `counter` in `subsequence`.
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
std::array<std::uint32_t, 4> philox(std::uint64_t seed, std::uint64_t subsequence,
                                    std::uint64_t counter) {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53U;
  constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57U;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;
  constexpr int kRounds = 10;
  auto key0 = static_cast<std::uint32_t>(seed);
  auto key1 = static_cast<std::uint32_t>(seed >> 32);
  std::array<std::uint32_t, 4> x = {
      static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
      static_cast<std::uint32_t>(subsequence), static_cast<std::uint32_t>(subsequence >> 32)};
  for (int round = 0; round < kRounds; ++round) {
    const Multiplied a = multiply(kMultiplier0, x[0]);
    const Multiplied b = multiply(kMultiplier1, x[2]);
    x = {b.high ^ x[1] ^ key0, b.low, a.high ^ x[3] ^ key1, a.low};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return x;
}

// sin(2 pi * turns) with the argument as a GPU's special function unit cuts it: 25 fractional bits,
// mirrored in the falling quadrants by inverting the bits. The unit's own table differs from the
// exact sine of that argument by about 2e-7.
double sine_of_turns(double turns) {
  constexpr std::uint32_t kQuarterBits = 23;
  constexpr std::uint32_t kQuarterMask = (1U << kQuarterBits) - 1;
  const auto fixed = static_cast<std::uint32_t>(turns * 0x1p25);
  const std::uint32_t quadrant = fixed >> kQuarterBits & 3U;
  const std::uint32_t within = (quadrant & 1U) != 0 ? ~fixed & kQuarterMask : fixed & kQuarterMask;
  const double sine = std::sin(2.0 * std::numbers::pi * 0x1p-25 * within);
  return quadrant >= 2 ? -sine : sine;
}

// cuRAND's Box-Muller: the sine comes first, and both uniforms are centred in their steps of 2^-32.
// The compiled code takes sine and cosine from the special function unit, after multiplying the
// angle by 1 / (2 pi) with rounding towards zero; exact ones differ from it by up to 2e-6.
std::array<float, 2> curand_pair(std::uint32_t a, std::uint32_t b) {
  constexpr float kStep = 0x1p-32F;
  constexpr float kAngleStep = kStep * kTwoPi;
  constexpr float kTurn = 1.0F / kTwoPi;
  const float u = std::fma(static_cast<float>(a), kStep, kStep / 2.0F);
  const float v = std::fma(static_cast<float>(b), kAngleStep, kAngleStep / 2.0F);
  const double product = double{v} * double{kTurn};
  auto turns = static_cast<float>(product);
  if (double{turns} > product) turns = std::nextafter(turns, 0.0F);
  const double radius = std::sqrt(-2.0F * std::log(u));
  return {static_cast<float>(radius * sine_of_turns(double{turns})),
          static_cast<float>(radius * sine_of_turns(double{turns} + 0.25))};
}

}  // namespace

float TorchCpuGenerator::uniform() {
  return static_cast<float>(engine_() & 0xffffffU) * 0x1p-24F;
}

double TorchCpuGenerator::uniform_double() {
  const std::uint64_t high = engine_();
  const std::uint64_t low = engine_();
  return static_cast<double>((high << 32 | low) & ((std::uint64_t{1} << 53) - 1)) * 0x1p-53;
}

double TorchCpuGenerator::normal_double() {
  if (cached_normal_) {
    const double value = *cached_normal_;
    cached_normal_.reset();
    return value;
  }
  const double u1 = uniform_double();
  const double u2 = uniform_double();
  const double radius = std::sqrt(-2.0 * std::log1p(-u2));
  const double theta = 2.0 * std::numbers::pi * u1;
  cached_normal_ = radius * std::sin(theta);
  return radius * std::cos(theta);
}

void TorchCpuGenerator::normal(std::span<float> out) {
  if (out.size() < kFillBlock) {
    for (float& value : out) value = static_cast<float>(normal_double());
    return;
  }
  for (float& value : out) value = uniform();
  for (std::size_t i = 0; i + kFillBlock <= out.size(); i += kFillBlock) transform_block(&out[i]);
  if (out.size() % kFillBlock != 0) {
    const std::span<float> tail = out.last(kFillBlock);
    for (float& value : tail) value = uniform();
    transform_block(tail.data());
  }
}

void TorchCudaGenerator::normal(std::span<float> out) {
  constexpr std::uint64_t kBlockThreads = 256;
  constexpr std::uint64_t kMaxBlocks = 132 * (2048 / kBlockThreads);
  constexpr std::uint64_t kUnroll = 4;  // normals a thread makes from one counter
  if (out.empty()) return;
  const std::uint64_t size = out.size();
  const std::uint64_t blocks = std::min(kMaxBlocks, (size + kBlockThreads - 1) / kBlockThreads);
  const std::uint64_t threads = blocks * kBlockThreads;
  const std::uint64_t rounds = (size - 1) / (threads * kUnroll) + 1;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const std::uint64_t begin = round * threads * kUnroll;
    for (std::uint64_t thread = 0; thread < std::min(threads, size - begin); ++thread) {
      const auto words = philox(seed_, thread, next_counter_ + round);
      const auto first = curand_pair(words[0], words[1]);
      const auto second = curand_pair(words[2], words[3]);
      const std::array<float, kUnroll> values = {first[0], first[1], second[0], second[1]};
      for (std::uint64_t k = 0; k < kUnroll; ++k) {
        const std::uint64_t index = begin + k * threads + thread;
        if (index < size) out[index] = values[k];
      }
    }
  }
  next_counter_ += rounds;
}

}  // namespace zimage
