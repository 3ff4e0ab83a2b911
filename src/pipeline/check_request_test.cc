// Defaults, ranges and advice of requests.
#include "pipeline/check_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "error_of.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr ModelDefaults kTurbo{.side = 1024, .steps = 8};

std::vector<std::string> notes_on(const Request& request) {
  return request_notes(complete_request(request, kTurbo), kTurbo);
}

std::string refusal_of(const Request& request) {
  const Error error = error_of([&] { complete_request(request, kTurbo); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  return error.what();
}

TEST(CompleteRequest, FillsInTheModelsDefaults) {
  const Request request = complete_request({.prompt = "a", .width = 512}, kTurbo);
  EXPECT_EQ(request.width, 512);
  EXPECT_EQ(request.height, 1024);
  EXPECT_EQ(request.steps, 8);
  EXPECT_EQ(request.sampler, Sampler::Euler);
}

TEST(CompleteRequest, RefusesWhatHasNoMeaning) {
  EXPECT_THAT(refusal_of({.prompt = "a", .width = 0}), HasSubstr("width is 0, expected 1 to"));
  EXPECT_THAT(refusal_of({.prompt = "a", .height = -1}), HasSubstr("height is -1, expected 1 to"));
  EXPECT_THAT(refusal_of({.prompt = "a", .steps = 1001}),
              HasSubstr("steps is 1001, expected 1 to 1000"));
  EXPECT_THAT(refusal_of({.prompt = "a", .count = 65}), HasSubstr("count is 65, expected 1 to 64"));
}

Image grey(std::int64_t width, std::int64_t height) {
  return {.width = width,
          .height = height,
          .rgb = std::vector<std::uint8_t>(static_cast<std::size_t>(width * height * 3), 128)};
}

using Sides = std::pair<std::int64_t, std::int64_t>;

TEST(CompleteRequest, TakesTheSizeOfThePictureItBeginsFrom) {
  const auto size = [](const Request& request) {
    const Request full = complete_request(request, kTurbo);
    return Sides(*full.width, *full.height);
  };
  EXPECT_EQ(size({.prompt = "a", .init_image = grey(30, 20)}), Sides(30, 20));
  EXPECT_EQ(size({.prompt = "a", .width = 90, .init_image = grey(30, 20)}), Sides(90, 60));
  EXPECT_EQ(size({.prompt = "a", .height = 1, .init_image = grey(20, 31)}), Sides(1, 1));
  EXPECT_EQ(size({.prompt = "a", .width = 64, .height = 64, .init_image = grey(30, 20)}),
            Sides(64, 64));
}

// diffusers: t_start = int(n - min(n * strength, n)).
TEST(CompleteRequest, LeavesOutStepsByStrength) {
  const auto skipped = [](std::int64_t steps, double strength) {
    return skipped_steps(complete_request(
        {.prompt = "a", .steps = steps, .init_image = grey(8, 8), .strength = strength}, kTurbo));
  };
  EXPECT_EQ(skipped(8, 0.7), 2);
  EXPECT_EQ(skipped(8, 1), 0);
  EXPECT_EQ(skipped(8, 0.01), 7);
  EXPECT_EQ(skipped(10, 0.7), 3);
  EXPECT_EQ(skipped(1, 0.5), 0);
  const Request plain = complete_request({.prompt = "a", .init_image = grey(8, 8)}, kTurbo);
  EXPECT_EQ(plain.strength, 0.6);
  const Request masked =
      complete_request({.prompt = "a", .init_image = grey(8, 8), .mask = grey(4, 4)}, kTurbo);
  EXPECT_EQ(masked.strength, 1);
  EXPECT_EQ(skipped_steps(complete_request({.prompt = "a"}, kTurbo)), 0);
}

TEST(CompleteRequest, RefusesPicturesWithoutMeaning) {
  EXPECT_THAT(refusal_of({.prompt = "a", .strength = 0.5}), HasSubstr("there is no init image"));
  EXPECT_THAT(refusal_of({.prompt = "a", .mask = grey(4, 4)}), HasSubstr("there is no init image"));
  for (const double strength : {0.0, -0.5, 1.01, 1e-18, std::nan("")}) {
    EXPECT_THAT(refusal_of({.prompt = "a", .init_image = grey(8, 8), .strength = strength}),
                HasSubstr("expected more than 0 and at most 1"))
        << strength;
  }
  Image torn = grey(8, 8);
  torn.rgb.pop_back();
  EXPECT_THAT(refusal_of({.prompt = "a", .init_image = torn}),
              HasSubstr("init_image is 8x8 pixels with 191 bytes"));
  EXPECT_THAT(refusal_of({.prompt = "a", .init_image = {.width = 8, .height = 0, .rgb = {}}}),
              HasSubstr("init_image is 8x0 pixels"));
  EXPECT_THAT(refusal_of({.prompt = "a", .init_image = grey(8, 8), .mask = torn}),
              HasSubstr("mask is 8x8 pixels with 191 bytes"));
}

TEST(CompleteRequest, SaysWhenNothingOfThePictureIsLeft) {
  const Request all{.prompt = "a", .init_image = grey(8, 8), .strength = 1.0};
  EXPECT_THAT(notes_on(all), ElementsAre(HasSubstr("strength 1 takes nothing of the init image")));
  Request masked = all;
  masked.mask = grey(8, 8);
  EXPECT_THAT(notes_on(masked), IsEmpty());
}

TEST(CompleteRequest, TakesSigmasInPlaceOfSteps) {
  const Request request =
      complete_request({.prompt = "a", .sigmas = {1, 0.5, 0.25, 0}, .shift = 1.0}, kTurbo);
  EXPECT_THAT(request.sigmas, ElementsAre(1, 0.5, 0.25));
  EXPECT_EQ(request.steps, 3);
  EXPECT_EQ(request.shift, 1.0);
  EXPECT_EQ(complete_request(request, kTurbo).steps, 3);
  EXPECT_THAT(refusal_of({.prompt = "a", .steps = 8, .sigmas = {1, 0.5}}),
              HasSubstr("steps is 8, but there are 2 sigmas"));
  EXPECT_THAT(refusal_of({.prompt = "a", .sigmas = {0.5, 0.75}}), HasSubstr("number 2 is 0.75"));
  EXPECT_THAT(refusal_of({.prompt = "a", .sigmas = {0}}), HasSubstr("number 1 is 0"));
  EXPECT_THAT(refusal_of({.prompt = "a", .sigmas = {2}}), HasSubstr("at most 1"));
  EXPECT_THAT(refusal_of({.prompt = "a", .sigmas = std::vector<double>(1001, 0.5)}),
              HasSubstr("number 2 is 0.5"));
}

TEST(CompleteRequest, RefusesShiftsWithoutMeaning) {
  for (const double shift : {0.0, -3.0, 1001.0, std::nan("")})
    EXPECT_THAT(refusal_of({.prompt = "a", .shift = shift}), HasSubstr("shift is "));
  EXPECT_EQ(complete_request({.prompt = "a"}, kTurbo).shift, std::nullopt);
}

TEST(CompleteRequest, TakesGuidanceWithinItsRanges) {
  EXPECT_EQ(complete_request({.prompt = "a"}, kTurbo).guidance, 0);
  EXPECT_EQ(complete_request({.prompt = "a", .guidance = 3.5}, kTurbo).guidance, 3.5);
  for (const double value : {-1.0, 101.0, std::nan("")}) {
    EXPECT_THAT(refusal_of({.prompt = "a", .guidance = value}), HasSubstr("guidance is "));
    EXPECT_THAT(refusal_of({.prompt = "a", .cfg_normalization = value}),
                HasSubstr("cfg_normalization is "));
    EXPECT_THAT(refusal_of({.prompt = "a", .cfg_truncation = value}),
                HasSubstr("cfg_truncation is "));
  }
}

TEST(ModelDefaults, AreThoseOfTheUndistilledModelByItsShift) {
  EXPECT_TRUE(model_defaults({.shift = 3.0}, 1024).is_distilled);
  EXPECT_TRUE(model_defaults({.time_shift = TimeShift::Linear, .shift = 6.0}, 1024).is_distilled);
  EXPECT_TRUE(model_defaults({.shift = 5.99}, 1024).is_distilled);
  EXPECT_FALSE(model_defaults({.shift = 8.0}, 1024).is_distilled);
  const ModelDefaults base = model_defaults({.shift = 6.0}, 1024);
  const Request request = complete_request({.prompt = "a"}, base);
  EXPECT_EQ(request.steps, 50);
  EXPECT_EQ(request.guidance, 4);
  EXPECT_EQ(request.width, 1024);
  EXPECT_THAT(request_notes(request, base), IsEmpty());
}

TEST(RequestNotes, SayThatGuidanceIsNotForADistilledModel) {
  EXPECT_THAT(notes_on({.prompt = "a", .guidance = 2.0, .negative_prompt = "red"}),
              ElementsAre(HasSubstr("distilled to draw without")));
  EXPECT_THAT(notes_on({.prompt = "a", .negative_prompt = "red"}),
              ElementsAre(HasSubstr("no effect without guidance")));
}

TEST(RequestNotes, SayNothingOfWhatTheModelIsMadeFor) {
  EXPECT_THAT(notes_on({.prompt = "a"}), IsEmpty());
  for (const std::int64_t steps : {4, 7, 10, 16})
    EXPECT_THAT(notes_on({.prompt = "a", .steps = steps}), IsEmpty()) << steps;
}

TEST(RequestNotes, SayWhatNineMeantAndWhichCountsAreFarFromTheModels) {
  EXPECT_THAT(notes_on({.prompt = "a", .steps = 9}), ElementsAre(HasSubstr("which is --steps 8")));
  for (const std::int64_t steps : {1, 3, 17, 50}) {
    EXPECT_THAT(
        notes_on({.prompt = "a", .steps = steps}),
        ElementsAre(testing::StartsWith(std::to_string(steps) +
                                        (steps == 1 ? " step: " : " steps: ") + "the model was")));
  }
}

}  // namespace
}  // namespace zimage
