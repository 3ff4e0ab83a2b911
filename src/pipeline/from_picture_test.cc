// Requests on Z-Image-Tiny that begin from a picture: what is planned, kept and shared.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "own_memory.h"
#include "pipeline/pipeline.h"

namespace zimage {
namespace {

const std::filesystem::path kModel = ZIMAGE_SOURCE_DIR "/models/zimage-tiny";

Image colors(std::int64_t width, std::int64_t height) {
  Image image{.width = width, .height = height, .rgb = {}};
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      image.rgb.push_back(static_cast<std::uint8_t>(255 * x / width));
      image.rgb.push_back(static_cast<std::uint8_t>(255 * y / height));
      image.rgb.push_back(x / 8 % 2 == y / 8 % 2 ? 200 : 40);
    }
  }
  return image;
}

// White on its right half.
Image half(std::int64_t width, std::int64_t height) {
  Image image{.width = width, .height = height, .rgb = {}};
  for (std::int64_t i = 0; i < width * height; ++i)
    image.rgb.insert(image.rgb.end(), 3, i % width >= width / 2 ? 255 : 0);
  return image;
}

Request from(const Image& image, double strength) {
  return {
      .prompt = "a red apple", .steps = 4, .init_image = image, .strength = strength, .seed = 7};
}

std::size_t planned_activations(const Plan& plan) {
  std::size_t planned = 0;
  for (const StagePlan& stage : plan.stages) planned = std::max(planned, stage.activations);
  return planned;
}

double difference(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(int{a.rgb[i]} - int{b.rgb[i]});
  return sum / static_cast<double>(a.rgb.size());
}

TEST(FromPicture, UsesExactlyTheActivationsItPlanned) {
  for (const Keep keep : {Keep::All, Keep::None}) {
    Pipeline pipeline({.model = kModel, .keep = keep});
    Request masked = from(colors(80, 48), 1);
    masked.mask = half(80, 48);
    masked.count = 3;
    for (const Request& request : {from(colors(64, 64), 0.5), masked, from(colors(70, 41), 0.3)}) {
      const Plan plan = pipeline.plan(request);
      EXPECT_TRUE(plan.of(Stage::EncodeImage).runs);
      EXPECT_GT(plan.of(Stage::EncodeImage).flops, 0);
      EXPECT_GT(plan.of(Stage::EncodeImage).weights, 0U);
      const Result result = pipeline.generate(request);
      EXPECT_EQ(result.activations_used, planned_activations(plan));
      EXPECT_EQ(result.images.front().width, request.init_image.width);
      EXPECT_TRUE(result.request.init_image.empty());
    }
    Request plain = from({}, 1);
    plain.strength.reset();
    plain.width = plain.height = 64;
    EXPECT_FALSE(pipeline.plan(plain).of(Stage::EncodeImage).runs);
    EXPECT_EQ(pipeline.plan(plain).of(Stage::EncodeImage).total, 0U);
  }
}

// Less strength leaves more of the picture: with a twentieth of it, one step of a quarter.
TEST(FromPicture, KeepsMoreOfItWithLessStrength) {
  Pipeline pipeline({.model = kModel});
  const Image image = colors(64, 64);
  double last = 0;
  for (const double strength : {0.05, 0.5, 1.0}) {
    std::int64_t steps = 0;
    const Result result = pipeline.generate(from(image, strength), [&](const Progress& progress) {
      if (progress.stage == Stage::Denoise) steps = progress.steps;
    });
    EXPECT_EQ(steps, std::max<std::int64_t>(std::llround(4 * strength), 1));
    const double found = difference(result.images.front(), image);
    EXPECT_GT(found, last) << strength;
    last = found;
  }
  // Nothing of the picture is left but its draw from the generator, which comes first.
  Request plain = from({}, 1);
  plain.strength.reset();
  plain.width = plain.height = 64;
  EXPECT_NE(pipeline.generate(plain).images.front().rgb,
            pipeline.generate(from(image, 1)).images.front().rgb);
  EXPECT_EQ(pipeline.generate(from(image, 1)).images.front().rgb,
            pipeline.generate(from(half(64, 64), 1)).images.front().rgb);
}

TEST(FromPicture, DrawsSeveralInOnePassOrInSeveral) {
  if (!kOwnMemoryIsSeen) GTEST_SKIP() << "a sanitizer's memory counts against the limit";
  Request request = from(colors(32, 32), 0.6);
  request.mask = half(32, 32);
  request.sampler = Sampler::Dpmpp2MSde;
  Pipeline pipeline({.model = kModel, .keep = Keep::None});
  const std::size_t least = pipeline.plan(request).total;
  request.steps = 2;
  request.count = 64;
  const std::size_t most = pipeline.plan(request).total;
  const Result together = pipeline.generate(request);
  Pipeline tight({.model = kModel, .keep = Keep::None, .memory_limit = least + (most - least) / 2});
  const Plan split = tight.plan(request);
  ASSERT_LT(split.pictures_per_pass, 64);
  const Result apart = tight.generate(request);
  for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(together.images[i].rgb, apart.images[i].rgb) << i;
  EXPECT_NE(together.images[0].rgb, together.images[1].rgb);
}

TEST(FromMaskedPicture, ReturnsWhatIsKeptUntouched) {
  Pipeline pipeline({.model = kModel});
  const Image image = colors(72, 40);
  Request request = from(image, 1);
  request.mask = half(36, 20);
  for (const Sampler sampler : {Sampler::Euler, Sampler::Heun, Sampler::Dpmpp3M}) {
    request.sampler = sampler;
    request.composite = true;
    const Image drawn = pipeline.generate(request).images.front();
    request.composite = false;
    const Image raw = pipeline.generate(request).images.front();
    double kept = 0;
    double anew = 0;
    for (std::int64_t i = 0; i < 72 * 40 * 3; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (i / 3 % 72 < 36) {
        ASSERT_EQ(drawn.rgb[at], image.rgb[at]);
        kept += std::abs(int{raw.rgb[at]} - int{image.rgb[at]});
      } else {
        ASSERT_EQ(drawn.rgb[at], raw.rgb[at]);
        anew += std::abs(int{raw.rgb[at]} - int{image.rgb[at]});
      }
    }
    // The autoencoder changes what it gives back: less than what is drawn anew.
    EXPECT_GT(kept, 0);
    EXPECT_LT(kept, 0.7 * anew);
  }
}

TEST(FromPicture, EncodesInStripsWhereMemoryIsShort) {
  if (!kOwnMemoryIsSeen) GTEST_SKIP() << "a sanitizer's memory counts against the limit";
  const Image image = colors(512, 512);
  Request request = from(image, 0.1);
  request.steps = 1;
  Pipeline whole({.model = kModel, .keep = Keep::None});
  const std::size_t needed = whole.plan(request).of(Stage::EncodeImage).total;
  Pipeline tight({.model = kModel, .keep = Keep::None, .memory_limit = needed - (30U << 20)});
  const Plan plan = tight.plan(request);
  ASSERT_GT(plan.encoder_strip_rows, 0);
  EXPECT_LE(plan.total, plan.available);
  const Result result = tight.generate(request);
  EXPECT_EQ(result.activations_used, planned_activations(plan));
  EXPECT_LT(difference(result.images.front(), whole.generate(request).images.front()), 1);
}

}  // namespace
}  // namespace zimage
