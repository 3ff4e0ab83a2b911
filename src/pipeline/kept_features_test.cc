// Prompts that come again: the text encoder does not run for them, nor is it loaded, and the
// pictures are the same.
#include <gtest/gtest.h>

#include <set>

#include "error_of.h"
#include "pipeline/pipeline.h"

namespace zimage {
namespace {

const std::filesystem::path kModel = ZIMAGE_SOURCE_DIR "/models/zimage-tiny";

Request small(const std::string& prompt) {
  return {.prompt = prompt, .width = 64, .height = 48, .steps = 1, .seed = 7};
}

// Draws, and tells which stages reported.
Image draw(Pipeline& pipeline, const Request& request, std::set<Stage>& stages) {
  stages.clear();
  const auto watch = [&](const Progress& progress) { stages.insert(progress.stage); };
  return pipeline.generate(request, watch).images.front();
}

TEST(KeptFeatures, AreTheSamePicture) {
  for (const Keep keep : {Keep::All, Keep::None}) {
    Pipeline keeps({.model = kModel, .keep = keep});
    Pipeline forgets({.model = kModel, .keep = keep, .feature_memory = 0});
    std::set<Stage> stages;
    for (int i = 0; i < 2; ++i) {
      const Image first = draw(forgets, small("a red apple"), stages);
      EXPECT_TRUE(stages.contains(Stage::EncodePrompt));
      EXPECT_EQ(draw(keeps, small("a red apple"), stages).rgb, first.rgb);
      EXPECT_EQ(stages.contains(Stage::EncodePrompt), i == 0);
    }
    draw(keeps, small("a fox"), stages);
    EXPECT_TRUE(stages.contains(Stage::EncodePrompt));
    draw(keeps, small("a red apple"), stages);
    EXPECT_FALSE(stages.contains(Stage::EncodePrompt));
  }
}

// Of two prompts one is known, then both; a prompt can be its own negative one.
TEST(KeptFeatures, AreOfNegativePromptsToo) {
  Pipeline keeps({.model = kModel});
  Pipeline forgets({.model = kModel, .feature_memory = 0});
  Request request = small("a red apple");
  std::set<Stage> stages;
  draw(keeps, request, stages);
  request.guidance = 3;
  for (const std::string& negative : {std::string("blue"), request.prompt}) {
    request.negative_prompt = negative;
    const Image expected = draw(forgets, request, stages);
    EXPECT_EQ(draw(keeps, request, stages).rgb, expected.rgb) << negative;
    EXPECT_EQ(draw(keeps, request, stages).rgb, expected.rgb) << negative;
    EXPECT_FALSE(stages.contains(Stage::EncodePrompt));
  }
}

TEST(KeptFeatures, AreInThePlan) {
  Pipeline pipeline({.model = kModel, .keep = Keep::None});
  const Request request = small("a red apple");
  EXPECT_TRUE(pipeline.plan(request).of(Stage::EncodePrompt).runs);
  pipeline.generate(request);
  const Plan plan = pipeline.plan(request);
  EXPECT_FALSE(plan.of(Stage::EncodePrompt).runs);
  EXPECT_EQ(plan.of(Stage::EncodePrompt).weights, 0U);
  std::size_t planned = 0;
  for (const StagePlan& stage : plan.stages) planned = std::max(planned, stage.activations);
  EXPECT_EQ(pipeline.generate(request).activations_used, planned);
}

// A network that stays counts, though the request has no use for it.
TEST(KeptFeatures, LeaveTheTextEncoderInThePlanWhereItStays) {
  Pipeline pipeline({.model = kModel, .keep = Keep::All});
  const Request request = small("a red apple");
  const Plan before = pipeline.plan(request);
  pipeline.generate(request);
  const Plan after = pipeline.plan(request);
  EXPECT_FALSE(after.of(Stage::EncodePrompt).runs);
  EXPECT_EQ(after.of(Stage::EncodePrompt).weights, before.of(Stage::EncodePrompt).weights);
  EXPECT_GE(after.total, before.of(Stage::EncodePrompt).weights +
                             before.of(Stage::Denoise).weights + before.of(Stage::Decode).weights);
}

TEST(KeptFeatures, AreMadeAheadForManyRequests) {
  Pipeline pipeline({.model = kModel, .keep = Keep::None});
  const std::vector<std::string> prompts{"a red apple", "a fox", "a red apple", "robot"};
  std::vector<std::int64_t> steps;
  const std::size_t encoded = pipeline.encode(prompts, [&](const Progress& progress) {
    EXPECT_EQ(progress.stage, Stage::EncodePrompt);
    EXPECT_EQ(progress.steps, 4);
    steps.push_back(progress.step);
  });
  EXPECT_EQ(encoded, 4U);
  EXPECT_EQ(steps, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  Pipeline forgets({.model = kModel, .feature_memory = 0});
  std::set<Stage> stages;
  for (const std::string& prompt : prompts) {
    const Image expected = draw(forgets, small(prompt), stages);
    EXPECT_EQ(draw(pipeline, small(prompt), stages).rgb, expected.rgb);
    EXPECT_FALSE(stages.contains(Stage::EncodePrompt)) << prompt;
  }
}

// Room for two prompts of this model, whose features are 256 floats a token.
TEST(KeptFeatures, StopWhereTheirMemoryEnds) {
  Pipeline pipeline({.model = kModel, .feature_memory = std::size_t{30} * 256 * sizeof(float)});
  const std::vector<std::string> prompts{"a red apple", "a fox", "robot", "a castle", "a cat"};
  const std::size_t encoded = pipeline.encode(prompts);
  EXPECT_GE(encoded, 2U);
  EXPECT_LT(encoded, prompts.size());
  std::set<Stage> stages;
  for (std::size_t i = 0; i < encoded; ++i) {
    draw(pipeline, small(prompts[i]), stages);
    EXPECT_FALSE(stages.contains(Stage::EncodePrompt)) << i;
  }
  Pipeline forgets({.model = kModel, .feature_memory = 0});
  EXPECT_EQ(forgets.encode(prompts), 1U);
  EXPECT_EQ(forgets.encode({}), 0U);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(
      error_of([&] { Pipeline({.model = kModel}).encode(prompts, {}, stop.get_token()); }).code(),
      ErrorCode::Cancelled);
}

}  // namespace
}  // namespace zimage
