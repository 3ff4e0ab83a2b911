// Pictures of the CPU's rounded precisions against the recorded reference.
#include <gtest/gtest.h>

#include <string>

#include "golden/tiny_model.h"
#include "pipeline/pipeline.h"

namespace zimage {
namespace {

struct Case {
  const char* name;
  const char* prompt;
  std::int64_t steps;
};

class Precision : public testing::TestWithParam<Case> {
 protected:
  static double decibels(const Case& c, const char* precision) {
    Pipeline pipeline({.model = kModel, .device = "cpu", .precision = precision});
    const Request request{
        .prompt = c.prompt, .width = 256, .height = 256, .steps = c.steps, .seed = kSeed};
    const Image drawn = pipeline.generate(request).images.front();
    return distance(std::span<const std::uint8_t>(drawn.rgb), std::string(c.name) + "_0.png")
        .decibels;
  }
};

// 12 bits: 63.8 to 66.9 dB; 8 bits, where the processor multiplies those faster: 46.3 to 51.0 dB.
// A scale or start of a block that is not its own leaves no picture: 10 dB. f32 is above 96 dB.
TEST_P(Precision, FastStaysClose) {
  const double found = decibels(GetParam(), "fast");
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
