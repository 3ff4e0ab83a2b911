// The noise on features, and what it does to pictures.
#include "pipeline/seed_variety.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "error_of.h"
#include "pipeline/pipeline.h"

namespace zimage {
namespace {

const std::filesystem::path kModel = ZIMAGE_SOURCE_DIR "/models/zimage-tiny";

Request small() {
  return {.prompt = "a red apple", .width = 64, .height = 48, .steps = 2, .seed = 7};
}

// The root of the mean squared difference of their pixels.
double distance(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) sum += std::pow(a.rgb[i] - b.rgb[i], 2);
  return std::sqrt(sum / static_cast<double>(a.rgb.size()));
}

TEST(SeedVariety, TakesUpToTheFirstHalfOfTheSteps) {
  EXPECT_EQ(varied_steps(8, 0), 0);
  EXPECT_EQ(varied_steps(8, 0.01), 1);
  EXPECT_EQ(varied_steps(8, 0.5), 2);
  EXPECT_EQ(varied_steps(8, 1), 4);
  EXPECT_EQ(varied_steps(1, 1), 1);
  EXPECT_EQ(varied_steps(1, 0), 0);
  EXPECT_EQ(varied_steps(50, 0.5), 13);
}

TEST(SeedVariety, MeasuresAChannelWithoutItsOutlier) {
  // Rows of two channels: -2 to 2 and a thousand; a constant.
  const std::vector<float> features{-2, 5, -1, 5, 1000, 5, 1, 5, 2, 5};
  const std::vector<float> spread = channel_spread(features, 2);
  ASSERT_EQ(spread.size(), 2U);
  EXPECT_FLOAT_EQ(spread[0], 1.4826F * 2);
  EXPECT_EQ(spread[1], 0);
}

TEST(SeedVariety, AddsNoiseOfTheSeedAndThePicture) {
  std::vector<float> features(std::size_t{64} * 32);
  for (std::size_t i = 0; i < features.size(); ++i) features[i] = static_cast<float>(i % 7);
  const auto varied = [&](double amount, std::uint64_t seed, std::int64_t picture) {
    return varied_features(features, 32, {.amount = amount, .seed = seed, .picture = picture});
  };
  EXPECT_EQ(varied(0, 7, 0), features);
  EXPECT_EQ(varied(0.5, 7, 0), varied(0.5, 7, 0));
  EXPECT_NE(varied(0.5, 7, 0), varied(0.5, 8, 0));
  EXPECT_NE(varied(0.5, 7, 0), varied(0.5, 7, 1));
  // torch's generator looks at the low half of a seed alone; this noise at all of it.
  EXPECT_NE(varied(0.5, 7, 0), varied(0.5, 7 + (std::uint64_t{1} << 32), 0));
  const std::vector<float> half = varied(0.5, 7, 0);
  const std::vector<float> whole = varied(1, 7, 0);
  for (std::size_t i = 0; i < features.size(); ++i)
    ASSERT_NEAR(whole[i] - features[i], 2 * (half[i] - features[i]), 1e-4);
}

TEST(SeedVariety, MovesPicturesOfDifferentSeedsApart) {
  Pipeline pipeline({.model = kModel});
  // At the model's own size: 0.69 without, 2.6 with at 256x256 in tools/measure_variety.py's units
  // of its thumbnails; noise that reaches no step gives the same as without.
  const auto spread = [&](double amount) {
    Request request{.prompt = "a red apple", .seed = 7};
    request.seed_variety = amount;
    const Image first = pipeline.generate(request).images.front();
    EXPECT_EQ(pipeline.generate(request).images.front().rgb, first.rgb);
    request.seed = 8;
    return distance(first, pipeline.generate(request).images.front());
  };
  EXPECT_GT(spread(1), 1.3 * spread(0));
}

// Each picture of a pass has noise of its own, and the first that of one picture.
TEST(SeedVariety, GivesEachPictureOfAPassItsOwn) {
  Pipeline pipeline({.model = kModel});
  for (const double guidance : {0.0, 3.0}) {
    Request request = small();
    request.seed_variety = 1;
    request.guidance = guidance;
    request.negative_prompt = "green";
    const Image one = pipeline.generate(request).images.front();
    request.count = 3;
    const std::vector<Image> three = pipeline.generate(request).images;
    EXPECT_EQ(three[0].rgb, one.rgb) << guidance;
    request.seed_variety = 0;
    const std::vector<Image> plain = pipeline.generate(request).images;
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NE(three[i].rgb, plain[i].rgb) << guidance << i;
  }
}

// Prompts of one padded length, and of two.
TEST(SeedVariety, IsPlannedToTheByte) {
  Pipeline pipeline({.model = kModel});
  const std::string other(200, 'x');
  for (const std::string& negative : {std::string("green"), other}) {
    Request request = small();
    request.seed_variety = 0.5;
    request.count = 3;
    request.guidance = 2;
    request.negative_prompt = negative;
    const Plan plan = pipeline.plan(request);
    std::size_t planned = 0;
    for (const StagePlan& stage : plan.stages) planned = std::max(planned, stage.activations);
    EXPECT_EQ(pipeline.generate(request).activations_used, planned);
  }
}

TEST(SeedVariety, HasARange) {
  Pipeline pipeline({.model = kModel});
  for (const double amount : {-0.1, 1.5, std::nan("")}) {
    Request request = small();
    request.seed_variety = amount;
    const Error error = error_of([&] { pipeline.complete(request); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr("seed_variety is "));
  }
}

}  // namespace
}  // namespace zimage
