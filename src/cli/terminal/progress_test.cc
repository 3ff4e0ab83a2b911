#include "cli/terminal/progress.h"

#include <gtest/gtest.h>

namespace zimage::cli {
namespace {

TEST(FormatSeconds, ChoosesTheUnit) {
  EXPECT_EQ(format_seconds(0), "0.00 s");
  EXPECT_EQ(format_seconds(0.42), "0.42 s");
  EXPECT_EQ(format_seconds(0.996), "1.0 s");
  EXPECT_EQ(format_seconds(6.44), "6.4 s");
  EXPECT_EQ(format_seconds(9.96), "10 s");
  EXPECT_EQ(format_seconds(59.4), "59 s");
  EXPECT_EQ(format_seconds(59.6), "1 min 00 s");
  EXPECT_EQ(format_seconds(125), "2 min 05 s");
  EXPECT_EQ(format_seconds(3599.6), "1 h 00 min");
  EXPECT_EQ(format_seconds(7530), "2 h 05 min");
}

TEST(FormatRate, IsNeverLessThanOneOfItsUnit) {
  EXPECT_EQ(format_rate(4, 1), "4 it/s");
  EXPECT_EQ(format_rate(8, 3), "2.67 it/s");
  EXPECT_EQ(format_rate(1, 1), "1 s/it");
  EXPECT_EQ(format_rate(2, 49), "24.5 s/it");
  EXPECT_EQ(format_rate(0, 1), "");
  EXPECT_EQ(format_rate(1, 0), "");
}

Progress denoise(std::int64_t step, std::int64_t steps) {
  return {.stage = Stage::Denoise, .step = step, .steps = steps};
}

TEST(ProgressMeter, ShowsStepRateAndTimeLeft) {
  ProgressMeter meter;
  EXPECT_TRUE(meter.update(denoise(0, 8), 100));
  EXPECT_EQ(meter.line(80), "denoise 0/8 [                    ]");
  EXPECT_FALSE(meter.update(denoise(1, 8), 103));
  EXPECT_EQ(meter.line(80), "denoise 1/8 [##                  ] 3 s/it, 21 s left");
  EXPECT_FALSE(meter.update(denoise(8, 8), 110));
  EXPECT_EQ(meter.line(80), "denoise 8/8 [####################] 1 s/it, 0.00 s left");
}

// The weights are loaded before the first step: 60 s here, which are no part of the rate.
TEST(ProgressMeter, LeavesLoadingOutOfTheRate) {
  ProgressMeter meter;
  meter.update(denoise(0, 4), 0);
  meter.update(denoise(1, 4), 62);
  meter.update(denoise(2, 4), 64);
  EXPECT_EQ(meter.line(80), "denoise 2/4 [##########          ] 2 s/it, 4.0 s left");
}

TEST(ProgressMeter, StartsAgainWithEveryStage) {
  ProgressMeter meter;
  EXPECT_TRUE(meter.update({.stage = Stage::EncodePrompt}, 0));
  EXPECT_EQ(meter.line(80), "text encoder");
  EXPECT_EQ(meter.stage_line(), "text encoder");
  EXPECT_FALSE(meter.update({.stage = Stage::EncodePrompt, .step = 1}, 50));
  EXPECT_TRUE(meter.update(denoise(0, 2), 60));
  EXPECT_EQ(meter.stage_line(), "denoise, 2 steps");
  meter.update(denoise(1, 2), 60.5);
  EXPECT_EQ(meter.line(80), "denoise 1/2 [##########          ] 2 it/s, 0.50 s left");
  EXPECT_TRUE(meter.update({.stage = Stage::Decode}, 61));
  EXPECT_EQ(meter.line(80), "decode");
}

TEST(ProgressMeter, AStageThatRunsAgainBegins) {
  ProgressMeter meter;
  meter.update(denoise(2, 2), 0);
  EXPECT_TRUE(meter.update(denoise(0, 2), 1));
}

TEST(ProgressMeter, LeavesOutWhatDoesNotFit) {
  ProgressMeter meter;
  meter.update(denoise(0, 8), 0);
  meter.update(denoise(2, 8), 4);
  EXPECT_EQ(meter.line(52), "denoise 2/8 [#####               ] 4 s/it, 24 s left");
  EXPECT_EQ(meter.line(51), "denoise 2/8 4 s/it, 24 s left");
  EXPECT_EQ(meter.line(28), "denoise 2/8");
  EXPECT_EQ(meter.line(4), "deno");
  EXPECT_EQ(meter.line(0), "");
}

// Two reports at one instant, as a coarse clock gives them.
TEST(ProgressMeter, HasNoRateWithoutTime) {
  ProgressMeter meter;
  meter.update(denoise(0, 4), 7);
  meter.update(denoise(1, 4), 7);
  EXPECT_EQ(meter.line(80), "denoise 1/4 [#####               ]");
}

}  // namespace
}  // namespace zimage::cli
