// Both generators against values recorded from torch (CUDA ones from an H100).
#include "base/torch_rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "golden_file.h"

namespace zimage {
namespace {

// Right code differs from torch by its own rounding of log, sin and cos. A swapped sine and cosine,
// a uniform of 23 bits or a missing redraw of the tail moves values by 1e-1 and more.
constexpr double kTolerance = 1e-6;

const GoldenFile& golden() {
  static const GoldenFile kFile(ZIMAGE_SOURCE_DIR "/tests/golden/torch_randn.safetensors");
  return kFile;
}

// What the fixture keeps of a draw: all of a small one, three parts of 1024 of a large one.
std::vector<float> kept(const std::vector<float>& values) {
  if (values.size() <= 4096) return values;
  const auto part = [&values](std::size_t begin) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(begin);
    return std::vector<float>(first, first + 1024);
  };
  std::vector<float> all = part(0);
  for (const std::size_t begin : {values.size() / 2, values.size() - 1024}) {
    const std::vector<float> next = part(begin);
    all.insert(all.end(), next.begin(), next.end());
  }
  return all;
}

double max_difference(const std::vector<float>& found, const std::vector<float>& expected) {
  if (found.size() != expected.size()) return INFINITY;
  double most = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    most = std::max(most, std::abs(double{found[i]} - double{expected[i]}));
  }
  return most;
}

std::size_t elements_of(const std::string& shape) {
  std::istringstream stream(shape);
  std::size_t product = 1;
  for (std::string extent; std::getline(stream, extent, 'x');) product *= std::stoul(extent);
  return product;
}

// Compares every "<device>/<seed>/<shape>" of the fixture and returns how many there were.
template <typename Generator>
int compare_single_draws(const std::string& device) {
  int count = 0;
  for (const auto& [key, entry] : golden().entries()) {
    const std::size_t slash = key.rfind('/');
    if (!key.starts_with(device) || key.find("two_draws") != std::string::npos) continue;
    Generator generator(std::stoull(key.substr(device.size() + 1, slash)));
    std::vector<float> values(elements_of(key.substr(slash + 1)));
    generator.normal(values);
    EXPECT_LE(max_difference(kept(values), entry.values), kTolerance) << key;
    ++count;
  }
  return count;
}

template <typename Generator>
void compare_two_draws(const std::string& device) {
  Generator generator(7);
  std::vector<float> a(40);
  std::vector<float> b(21);
  generator.normal(a);
  generator.normal(b);
  EXPECT_LE(max_difference(a, golden().values(device + "/7/two_draws_a")), kTolerance);
  EXPECT_LE(max_difference(b, golden().values(device + "/7/two_draws_b")), kTolerance);
}

TEST(TorchCpuGenerator, GivesTorchsDraws) {
  EXPECT_EQ(compare_single_draws<TorchCpuGenerator>("cpu"), 41);
}

TEST(TorchCpuGenerator, GoesOnWhereTheLastDrawEnded) {
  compare_two_draws<TorchCpuGenerator>("cpu");
}

// A short draw of an odd length leaves half a pair, which the next short draw takes first.
TEST(TorchCpuGenerator, KeepsHalfAPairBetweenShortDraws) {
  TorchCpuGenerator generator(42);
  std::vector<float> values(15);
  const std::span<float> all(values);
  generator.normal(all.first(7));
  generator.normal(all.subspan(7));
  EXPECT_LE(max_difference(values, golden().values("cpu/42/15")), kTolerance);
}

TEST(TorchCudaGenerator, GivesTorchsDraws) {
  EXPECT_EQ(compare_single_draws<TorchCudaGenerator>("cuda"), 41);
}

TEST(TorchCudaGenerator, GoesOnWhereTheLastDrawEnded) {
  compare_two_draws<TorchCudaGenerator>("cuda");
}

// More values than the GPU has threads: every thread makes all four normals of a counter, and with
// 4194304 values several counters.
TEST(TorchCudaGenerator, GivesTorchsLargeDraws) {
  const GoldenFile large(ZIMAGE_SOURCE_DIR "/tests/golden/torch_randn_large.safetensors");
  for (const std::string shape : {"1x16x160x160", "1x16x512x512"}) {
    TorchCudaGenerator generator(42);
    std::vector<float> values(elements_of(shape));
    for (const std::string draw : {"first/", "second/"}) {
      generator.normal(values);
      EXPECT_LE(max_difference(kept(values), large.values(draw + shape)), kTolerance)
          << draw << shape;
    }
  }
}

TEST(TorchGenerators, TakeEmptyDraws) {
  TorchCudaGenerator cuda(7);
  TorchCpuGenerator cpu(7);
  cuda.normal({});
  cpu.normal({});
  std::vector<float> values(40);
  cuda.normal(values);
  EXPECT_LE(max_difference(values, golden().values("cuda/7/two_draws_a")), kTolerance);
  cpu.normal(values);
  EXPECT_LE(max_difference(values, golden().values("cpu/7/two_draws_a")), kTolerance);
}

}  // namespace
}  // namespace zimage
