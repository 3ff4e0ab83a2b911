// Pictures of the CPU's rounded precisions against the recorded reference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "image/image.h"
#include "pipeline/pipeline.h"

namespace zimage {
namespace {

struct Case {
  const char* name;
  const char* prompt;
  std::int64_t steps;
};

double psnr(const Image& a, const Image& b) {
  double error = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) error += std::pow(a.rgb[i] - b.rgb[i], 2);
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.rgb.size()) / error);
}

class Precision : public testing::TestWithParam<Case> {
 protected:
  static double distance(const Case& c, const char* precision) {
    Pipeline pipeline({.model = ZIMAGE_SOURCE_DIR "/models/zimage-tiny",
                       .device = "cpu",
                       .precision = precision});
    const Request request{
        .prompt = c.prompt, .width = 256, .height = 256, .steps = c.steps, .seed = 42};
    const Image drawn = pipeline.generate(request).images.front();
    const std::string file = std::string(ZIMAGE_SOURCE_DIR "/tests/golden/") + c.name + "_0.png";
    const Image expected = decode_png(file).image;
    EXPECT_EQ(drawn.rgb.size(), expected.rgb.size());
    return psnr(drawn, expected);
  }
};

// 12 bits: 63.8 to 66.9 dB; 8 bits, where the processor multiplies those faster: 44.8 to 50.9 dB.
// A scale or start of a block that is not its own leaves no picture: 10 dB. f32 is above 96 dB.
TEST_P(Precision, FastStaysClose) {
  const double found = distance(GetParam(), "fast");
  RecordProperty("decibels", std::to_string(found));
  EXPECT_GE(found, 41.0);
  EXPECT_LE(found, 75.0);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Precision,
                         testing::Values(Case{"apple", "a red apple", 8},
                                         Case{"cat_zh", "\u4e00\u53ea\u732b", 8},
                                         Case{"nine_steps", "a rocket", 9}),
                         [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace zimage
