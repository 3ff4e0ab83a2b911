// Guidance against the reference's formula in double precision.
#include "pipeline/guidance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/torch_rng.h"
#include "pipeline/make_backend.h"

namespace zimage {
namespace {

constexpr std::int64_t kRows = 5;
constexpr std::int64_t kFeatures = 64;
constexpr auto kOne = static_cast<std::size_t>(kRows * kFeatures);  // numbers of a picture

std::vector<float> normal(std::uint64_t seed, float factor) {
  std::vector<float> values(2 * kOne);
  TorchCpuGenerator(seed).normal(values);
  for (float& value : values) value *= factor;
  return values;
}

// Of two pictures, by torch.linalg.vector_norm's definition.
std::vector<double> expected(const std::vector<float>& pos, const std::vector<float>& neg,
                             const Guidance& guidance) {
  std::vector<double> result;
  for (std::size_t first = 0; first < pos.size(); first += kOne) {
    std::vector<double> one;
    double before = 0;
    double after = 0;
    for (std::size_t i = first; i < first + kOne; ++i) {
      const double p = pos[i];
      one.push_back(p + double{guidance.scale} * (p - double{neg[i]}));
      before += p * p;
      after += one.back() * one.back();
    }
    const double most = std::sqrt(before) * double{guidance.normalization};
    const bool shortens = guidance.normalization > 0 && std::sqrt(after) > most;
    for (double& value : one) value *= shortens ? most / std::sqrt(after) : 1.0;
    result.insert(result.end(), one.begin(), one.end());
  }
  return result;
}

// Right code differs by the rounding of float32: 1e-6. A scale that is off by one moves numbers by
// 1, a norm over both pictures by 0.1.
TEST(Guidance, IsTheReferencesFormulaPictureByPicture) {
  const std::vector<float> pos = normal(1, 1.0F);
  std::vector<float> neg = normal(2, 0.5F);
  // The second picture's prompts agree: its norm does not grow.
  std::copy(pos.begin() + kOne, pos.end(), neg.begin() + kOne);
  const std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  Buffer memory = backend->allocate(4 * kOne * sizeof(float));
  Arena arena(memory.data(), memory.bytes());
  const Tensor both = arena.make(DType::F32, {4 * kRows, kFeatures});
  const Tensor velocity = both.rows(0, 2 * kRows);
  const Tensor negative = both.rows(2 * kRows, 4 * kRows);
  for (const Guidance& guidance :
       {Guidance{.scale = 3}, Guidance{.scale = 0.5F}, Guidance{.scale = 3, .normalization = 1},
        Guidance{.scale = 3, .normalization = 2.5F}, Guidance{.scale = 3, .normalization = 50}}) {
    backend->upload(velocity, pos.data());
    backend->upload(negative, neg.data());
    apply_guidance(*backend, velocity, negative, guidance, 2);
    std::vector<float> found(2 * kOne);
    backend->download(found.data(), velocity);
    const std::vector<double> right = expected(pos, neg, guidance);
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(double{found[i]}, right[i], 4e-6)
          << guidance.scale << " " << guidance.normalization << " " << i;
    }
  }
}

TEST(Guidance, EndsWithTheTimeOfItsTruncation) {
  EXPECT_FALSE(Guidance{}.is_on_at(0));
  EXPECT_TRUE(Guidance{.scale = 1}.is_on_at(1));
  const Guidance half{.scale = 1, .truncation = 0.5};
  EXPECT_TRUE(half.is_on_at(0));
  EXPECT_TRUE(half.is_on_at(0.5F));
  EXPECT_FALSE(half.is_on_at(0.51F));
}

}  // namespace
}  // namespace zimage
