// Patch order and the decoder's map, on numbers that tell where they came from.
#include "pipeline/latents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/torch_rng.h"

namespace zimage {
namespace {

constexpr LatentShape kShape{.channels = 2, .rows = 2, .columns = 4, .patch = 2};

// Planes count up: channel 0 is 0..7, channel 1 is 8..15.
std::vector<float> planes() {
  std::vector<float> values(16);
  std::iota(values.begin(), values.end(), 0.0F);
  return values;
}

TEST(TokensFromPlanes, OrdersFeaturesByPatchRowPatchColumnChannel) {
  EXPECT_THAT(tokens_from_planes(planes(), kShape),
              testing::ElementsAre(0, 8, 1, 9, 4, 12, 5, 13, 2, 10, 3, 11, 6, 14, 7, 15));
}

TEST(NoiseTokens, AreOneDrawForAllPictures) {
  for (const RngKind rng : {RngKind::Cpu, RngKind::Cuda}) {
    std::vector<float> planes(3 * 16);
    if (rng == RngKind::Cpu) {
      TorchCpuGenerator(7).normal(planes);
    } else {
      TorchCudaGenerator(7).normal(planes);
    }
    const std::vector<float> tokens = noise_tokens(kShape, 3, 7, rng);
    ASSERT_EQ(tokens.size(), planes.size());
    const std::span<const float> all(planes);
    for (std::size_t i = 0; i < 3; ++i) {
      const std::vector<float> one = tokens_from_planes(all.subspan(16 * i, 16), kShape);
      EXPECT_TRUE(std::equal(one.begin(), one.end(), tokens.begin() + 16 * static_cast<int>(i)));
    }
  }
}

TEST(NoiseDraws, FollowOneAnotherAndBeginAnewForAnEarlierOne) {
  TorchCpuGenerator generator(7);
  std::vector<std::vector<float>> expected(3, std::vector<float>(3 * 16));
  for (std::vector<float>& draw : expected) {
    generator.normal(draw);
    std::vector<float> tokens;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::vector<float> one =
          tokens_from_planes(std::span<const float>(draw).subspan(16 * i, 16), kShape);
      tokens.insert(tokens.end(), one.begin(), one.end());
    }
    draw = tokens;
  }
  NoiseDraws draws(kShape, 3, 7, RngKind::Cpu);
  for (const std::int64_t index : {0, 1, 1, 2, 0, 2})
    EXPECT_THAT(draws.get(index),
                testing::ElementsAreArray(expected[static_cast<std::size_t>(index)]));
}

TEST(NoiseDraws, DrawOnePicturesSampleBeforeAllOthers) {
  TorchCpuGenerator generator(7);
  std::vector<float> one(16);
  std::vector<float> all(2 * 16);
  generator.normal(one);
  generator.normal(all);
  NoiseDraws draws(kShape, 2, 7, RngKind::Cpu, NoiseDraws::Sample::First);
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(draws.sample(), testing::ElementsAreArray(tokens_from_planes(one, kShape)));
    EXPECT_THAT(draws.get(0).first(16), testing::ElementsAreArray(tokens_from_planes(
                                            std::span<const float>(all).first(16), kShape)));
    draws.get(3);
  }
  EXPECT_TRUE(NoiseDraws(kShape, 2, 7, RngKind::Cpu).sample().empty());
}

TEST(SampledTokens, AreMeansAndDeviationsScaled) {
  constexpr LatentShape kOne{.channels = 1, .rows = 2, .columns = 2, .patch = 2};
  // Mean and logarithm of the variance, pixel by pixel; the last two are held to -30 and 20.
  const std::vector<float> moments = {1, 0, 2, std::log(4.0F), 3, -100, 4, 100};
  const std::vector<float> noise = {1, -1, 2, 1};
  const std::vector<float> tokens =
      sampled_tokens(moments, noise, kOne, {.scaling = 2, .shift = 0.5F});
  EXPECT_THAT(tokens, testing::ElementsAre(3, -1, testing::FloatNear(5, 1e-5F),
                                           testing::FloatEq((4 + std::exp(10.0F) - 0.5F) * 2)));
}

TEST(MapFromTokens, PutsChannelsLastAndUnscales) {
  const std::vector<float> tokens = tokens_from_planes(planes(), kShape);
  const std::vector<float> map = map_from_tokens(tokens, kShape, {.scaling = 2.0F, .shift = 1.0F});
  EXPECT_THAT(map,
              testing::ElementsAre(1, 5, 1.5, 5.5, 2, 6, 2.5, 6.5, 3, 7, 3.5, 7.5, 4, 8, 4.5, 8.5));
}

}  // namespace
}  // namespace zimage
