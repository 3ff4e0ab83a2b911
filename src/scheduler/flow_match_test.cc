// Noise levels against those of diffusers, and what scheduler_config.json may say.
#include "scheduler/flow_match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "error_of.h"

namespace zimage {
namespace {

using testing::HasSubstr;
using testing::Pointwise;

// Right code is equal, or one rounding of float32 away where the compiler fuses multiply and add.
// Levels spaced with numpy's linspace in place of torch's are two away; a shift used twice moves
// them by 0.1.
constexpr float kTolerance = 1.2e-7F;

MATCHER(is_near, "") {
  return std::abs(std::get<0>(arg) - std::get<1>(arg)) <= kTolerance;
}

SchedulerConfig read(const std::string& text) {
  const Json json = parse_json(text, "scheduler_config.json");
  return read_scheduler_config(JsonObject(json, "scheduler_config.json"));
}

void expect_error(const std::string& text, ErrorCode code, const std::string& part) {
  try {
    read(text);
    ADD_FAILURE() << text << " is accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

// Compares every "<form>/<steps>/shift<shift>" of the fixture and returns how many there were.
int compare_golden(
    const std::string& form,
    const std::function<std::vector<float>(std::int64_t, const SchedulerConfig&)>& sigmas) {
  std::ifstream stream(ZIMAGE_SOURCE_DIR "/tests/golden/scheduler_sigmas.json");
  const Json golden = Json::parse(stream);
  int count = 0;
  for (const auto& [key, entry] : golden.items()) {
    if (!key.starts_with(form + "/")) continue;
    const std::int64_t steps = std::stoll(key.substr(form.size() + 1));
    const SchedulerConfig config{.shift = std::stod(key.substr(key.find("shift") + 5))};
    EXPECT_THAT(sigmas(steps, config),
                Pointwise(is_near(), entry.at("sigmas").get<std::vector<float>>()))
        << key;
    ++count;
  }
  return count;
}

TEST(FlowMatchSigmas, GiveThePipelinesLevels) {
  EXPECT_EQ(compare_golden("euler",
                           [](std::int64_t steps, const SchedulerConfig& config) {
                             return flow_match_sigmas(steps, config, 256);
                           }),
            45);
}

TEST(FlowMatchSigmas, GiveTheSchedulersOwnLevels) {
  EXPECT_EQ(compare_golden("euler_default",
                           [](std::int64_t steps, const SchedulerConfig& config) {
                             return flow_match_default_sigmas(steps, config, 256);
                           }),
            45);
}

// u = 1 - i/8, sigma = 3u / (1 + 2u).
TEST(FlowMatchSigmas, AreNineForTurbosEightSteps) {
  const std::vector<float> expected = {1.0F,        0.95454545F, 0.9F, 0.83333333F, 0.75F,
                                       0.64285714F, 0.5F,        0.3F, 0.0F};
  EXPECT_THAT(flow_match_sigmas(8, {.shift = 3.0}, 4096), Pointwise(is_near(), expected));
}

// sigma = e^mu / (e^mu + 1/u - 1); 256 tokens have mu = 0.5, 4096 mu = 1.15, 2176 the middle.
TEST(FlowMatchSigmas, ShiftExponentiallyWithThePicture) {
  const SchedulerConfig config{.time_shift = TimeShift::Exponential, .shift = 3.0};
  EXPECT_NEAR(flow_match_sigmas(2, config, 256)[1], 1.0 / (1.0 + std::exp(-0.5)), kTolerance);
  EXPECT_NEAR(flow_match_sigmas(2, config, 4096)[1], 1.0 / (1.0 + std::exp(-1.15)), kTolerance);
  EXPECT_NEAR(flow_match_sigmas(4, config, 2176)[3], 1.0 / (1.0 + 3.0 * std::exp(-0.825)),
              kTolerance);
  EXPECT_THAT(flow_match_sigmas(1, config, 4096), testing::ElementsAre(1.0F, 0.0F));
}

// sigma = mu / (mu + 1/u - 1)
TEST(FlowMatchSigmas, ShiftLinearlyWithThePicture) {
  const SchedulerConfig config{
      .time_shift = TimeShift::Linear, .base_shift = 1.0, .max_shift = 4.0};
  EXPECT_NEAR(flow_match_sigmas(2, config, 256)[1], 0.5, kTolerance);
  EXPECT_NEAR(flow_match_sigmas(2, config, 4096)[1], 0.8, kTolerance);
  EXPECT_NEAR(flow_match_sigmas(4, config, 4096)[3], 4.0 / 7.0, kTolerance);
}

TEST(FlowMatchSigmas, ShiftLevelsOfTheCallersChoice) {
  const SchedulerConfig turbo{.shift = 3.0};
  EXPECT_EQ(flow_match_sigmas(std::vector<float>{1.0F, 0.75F, 0.5F, 0.25F}, turbo, 256),
            flow_match_sigmas(4, turbo, 256));
  EXPECT_THAT(flow_match_sigmas(std::vector<float>{0.9F, 0.3F}, {}, 256),
              testing::ElementsAre(0.9F, 0.3F, 0.0F));
  const SchedulerConfig grows{.time_shift = TimeShift::Linear, .base_shift = 1.0, .max_shift = 4.0};
  EXPECT_NEAR(flow_match_sigmas(std::vector<float>{0.5F}, grows, 4096)[0], 0.8, kTolerance);
}

// sigma = s / (s + 1/u - 1), 1 for u = 1. In float32, 1 + (s - 1) is 0 for the smallest of these.
TEST(FlowMatchSigmas, BeginAtOneForTheSmallestShift) {
  for (const double shift : {0.009, 1e-4, 1e-8, 1e-30}) {
    const std::vector<float> sigmas = flow_match_sigmas(4, {.shift = shift}, 256);
    EXPECT_EQ(sigmas.front(), 1.0F) << shift;
    for (const int i : {1, 2, 3}) {
      const double odds = shift * (4 - i) / i;
      EXPECT_NEAR(sigmas[static_cast<std::size_t>(i)] / (odds / (1 + odds)), 1.0, 1e-6) << shift;
    }
    EXPECT_EQ(flow_match_default_sigmas(1, {.shift = shift}, 256).front(), 1.0F) << shift;
  }
}

// No float32 lies between 0 and such levels.
TEST(FlowMatchSigmas, RefuseAShiftThatLeavesNoLevels) {
  const Error error = error_of([] { flow_match_sigmas(4, {.shift = 1e-60}, 256); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("shift is 1e-60, which makes noise levels 2 and 3 of 5"));
}

TEST(FlowMatchSigmas, RefuseLevelsThatDoNotFall) {
  const auto refusal = [](const std::vector<float>& levels, const SchedulerConfig& config) {
    try {
      flow_match_sigmas(levels, config, 256);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refusal({}, {}), HasSubstr("expected one or more"));
  EXPECT_THAT(refusal({1.0F, 1.5F}, {}), HasSubstr("number 2 is 1.5"));
  EXPECT_THAT(refusal({0.0F}, {}), HasSubstr("more than 0 and at most 1"));
  EXPECT_THAT(refusal({0.5F, std::nanf("")}, {}), HasSubstr("number 2 is nan"));
  EXPECT_THAT(refusal({1.0F, 0.5F, 0.5F}, {}), HasSubstr("number 3 is 0.5"));
  EXPECT_THAT(refusal({1.0F, 0.5F, 0.5F}, {}), HasSubstr("less than the one before"));
  EXPECT_THAT(refusal({1.0F, 0.9999999F}, {.shift = 1000.0}),
              HasSubstr("makes noise levels 1 and 2 of 3 equal"));
}

// A dynamic shift leaves the training levels as they are: 1 to 1/1000.
TEST(FlowMatchSigmas, SpaceTheSchedulersOwnLevelsBeforeADynamicShift) {
  const SchedulerConfig config{
      .time_shift = TimeShift::Linear, .base_shift = 2.0, .max_shift = 2.0};
  const std::vector<float> sigmas = flow_match_default_sigmas(2, config, 256);
  ASSERT_EQ(sigmas.size(), 3U);
  EXPECT_EQ(sigmas[0], 1.0F);
  EXPECT_NEAR(sigmas[1], 2.0 / (2.0 + 999.0), kTolerance);
}

TEST(FlowMatchSigmas, RefuseArgumentsWithoutMeaning) {
  const SchedulerConfig linear{
      .time_shift = TimeShift::Linear, .base_shift = 0.5, .max_shift = -0.5};
  const SchedulerConfig huge{.time_shift = TimeShift::Exponential, .max_shift = 1e6};
  for (const auto& call : std::vector<std::function<std::vector<float>()>>{
           [] { return flow_match_sigmas(0, {}, 256); },
           [] { return flow_match_sigmas(-1, {}, 256); },
           [] { return flow_match_sigmas(10001, {}, 256); },
           [] { return flow_match_sigmas(8, {}, 0); },
           [] { return flow_match_default_sigmas(0, {}, 256); },
           [&] { return flow_match_sigmas(8, linear, 4096); },
           [&] { return flow_match_sigmas(8, huge, 4096); }}) {
    try {
      call();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidArgument) << error.what();
    }
  }
}

TEST(SchedulerConfig, ReadsTinysFile) {
  std::ifstream stream(ZIMAGE_SOURCE_DIR "/models/zimage-tiny/scheduler/scheduler_config.json");
  const std::string text((std::istreambuf_iterator<char>(stream)),
                         std::istreambuf_iterator<char>());
  const SchedulerConfig config = read(text);
  EXPECT_EQ(config.time_shift, TimeShift::Static);
  EXPECT_EQ(config.shift, 3.0);
  EXPECT_EQ(config.max_shift, 1.15);
  EXPECT_EQ(config.max_image_tokens, 4096);
}

TEST(SchedulerConfig, ReadsDynamicShifting) {
  const SchedulerConfig config =
      read(R"({"use_dynamic_shifting": true, "time_shift_type": "linear", "base_shift": 0.25,
               "max_shift": 2, "base_image_seq_len": 64, "max_image_seq_len": 1024})");
  EXPECT_EQ(config.time_shift, TimeShift::Linear);
  EXPECT_EQ(config.base_shift, 0.25);
  EXPECT_EQ(config.max_shift, 2.0);
  EXPECT_EQ(config.base_image_tokens, 64);
  EXPECT_EQ(config.max_image_tokens, 1024);
  EXPECT_EQ(read(R"({"use_dynamic_shifting": true})").time_shift, TimeShift::Exponential);
}

TEST(SchedulerConfig, RefusesWhatChangesTheResultAndIsNotImplemented) {
  for (const std::string key : {"invert_sigmas", "use_karras_sigmas", "use_exponential_sigmas",
                                "use_beta_sigmas", "stochastic_sampling"}) {
    expect_error("{\"" + key + "\": true}", ErrorCode::Unsupported, "\"" + key + "\"");
  }
  expect_error(R"({"shift_terminal": 0.1})", ErrorCode::Unsupported, "\"shift_terminal\"");
  expect_error(R"({"use_dynamic_shifting": true, "time_shift_type": "cubic"})",
               ErrorCode::Unsupported, "\"cubic\"");
  expect_error(R"({"_class_name": "DDIMScheduler"})", ErrorCode::Unsupported, "DDIMScheduler");
}

TEST(SchedulerConfig, RefusesValuesOutOfRange) {
  expect_error(R"({"shift": 0})", ErrorCode::InvalidFile, "\"shift\"");
  expect_error(R"({"shift": -3.0})", ErrorCode::InvalidFile, "\"shift\"");
  expect_error(R"({"shift": 1e300})", ErrorCode::InvalidFile, "\"shift\"");
  expect_error(R"({"shift": "3"})", ErrorCode::InvalidFile, "\"shift\"");
  expect_error(R"({"base_shift": 1e9})", ErrorCode::InvalidFile, "\"base_shift\"");
  expect_error(R"({"num_train_timesteps": 0})", ErrorCode::InvalidFile, "\"num_train_timesteps\"");
  expect_error(R"({"base_image_seq_len": -1})", ErrorCode::InvalidFile, "\"base_image_seq_len\"");
  expect_error(R"({"max_image_seq_len": 256})", ErrorCode::InvalidFile, "\"max_image_seq_len\"");
  expect_error(R"({"use_dynamic_shifting": 1})", ErrorCode::InvalidFile,
               "\"use_dynamic_shifting\"");
}

}  // namespace
}  // namespace zimage
