// Pictures under memory limits: what the plan chooses, that it is kept to, that the picture is the
// same, and what is refused.
#include "pipeline/residency.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/process_memory.h"
#include "error_of.h"
#include "late_device.h"
#include "own_memory.h"
#include "pipeline/planning.h"
#include "pipeline/run_observer.h"
#include "temp_folder.h"

namespace zimage {
namespace {

using testing::HasSubstr;

constexpr std::size_t kMebibyte = std::size_t{1} << 20;
const std::filesystem::path kModel = ZIMAGE_SOURCE_DIR "/models/zimage-tiny";

Request small(std::int64_t width, std::int64_t height) {
  return {.prompt = "a red apple", .width = width, .height = height, .steps = 2, .seed = 7};
}

// Configuration files of a model whose transformer, of 30 blocks, is larger than its decoder.
class DeepModel {
 public:
  DeepModel() {
    std::filesystem::copy(kModel, folder_.path(), std::filesystem::copy_options::recursive);
    std::ifstream stream(kModel / "transformer" / "config.json");
    nlohmann::json config = nlohmann::json::parse(stream);
    config["n_layers"] = 30;
    static_cast<void>(folder_.write("transformer/config.json", config.dump()));
  }
  PipelineOptions options(std::size_t memory_limit) const {
    return {.model = folder_.path(), .memory_limit = memory_limit, .random_weights = true};
  }

 private:
  TempFolder folder_;
};

// A limit half way between what the decoder and the transformer need, so that one keeps to it.
std::size_t decoder_limit(const DeepModel& model) {
  PipelineOptions options = model.options(0);
  options.keep = Keep::None;
  const Plan plan = Pipeline(options).plan(small(64, 64));
  return (plan.of(Stage::Denoise).total + plan.of(Stage::Decode).total) / 2;
}

TEST(Residency, StreamsTheBlocksThatDoNotFitAndDrawsTheSame) {
  if (!kOwnMemoryIsSeen) GTEST_SKIP() << "a sanitizer's memory counts against the limit";
  const DeepModel model;
  const std::size_t limit = decoder_limit(model);
  const Image whole = Pipeline(model.options(0)).generate(small(64, 64)).images.front();
  Pipeline pipeline(model.options(limit));
  const Plan plan = pipeline.plan(small(64, 64));
  EXPECT_EQ(plan.keep, Keep::None);
  EXPECT_EQ(plan.of(Stage::Denoise).layers, 30);
  EXPECT_GE(plan.of(Stage::Denoise).streamed, 2);
  EXPECT_LT(plan.of(Stage::Denoise).streamed, 30);
  EXPECT_LE(plan.total, plan.available);
  std::size_t memory = 0;
  const auto watch = [&](const Progress& progress) {
    if (progress.stage == Stage::Denoise && progress.step > 0)
      memory = std::max(memory, resident_memory());
  };
  EXPECT_EQ(pipeline.generate(small(64, 64), watch).images.front().rgb, whole.rgb);
  // All blocks would be 40 MiB or more beyond it.
  EXPECT_LE(memory, limit + 8 * kMebibyte);
  // Once more, on a pipeline that has released everything.
  EXPECT_EQ(pipeline.generate(small(64, 64)).images.front().rgb, whole.rgb);
}

// A drawing of several pictures whose activations are mostly the transformer's.
Drawing small_drawing(const Model& model, std::int64_t count) {
  return {.ids = model.tokenize("").ids,
          .latent = {.channels = model.vae().latent_channels,
                     .rows = 2,
                     .columns = 2,
                     .patch = model.transformer().patch},
          .sigmas = {1, 0},
          .count = count};
}

// One drawing on a backend that is given, as Pipeline draws.
Image draw_on(Backend& backend, Parts& parts, const Drawing& drawing, const Plan& plan) {
  Activations activations(backend);
  const Run run{.backend = backend, .arena = activations.arena()};
  const ProgressFn progress;
  const SourcePicture source;
  Request request = small(16, 16);
  PromptFeatures features;
  PromptFeatures* const first = &features;
  RunObserver observer({.parts = parts,
                        .activations = activations,
                        .plan = plan,
                        .run = run,
                        .progress = progress,
                        .request = request,
                        .drawing = drawing,
                        .source = source,
                        .features = {&first, 1}},
                       std::async(std::launch::async, [&] {
                         return NoiseDraws(drawing.latent, drawing.count, 7, RngKind::Cpu);
                       }));
  draw(run, parts.loaded(), drawing, observer);
  return observer.images.front();
}

// The copies outlive the network that is released: the second picture makes no others.
TEST(Residency, StreamsToACardFromCopiesThatStay) {
  const PipelineOptions options{.model = kModel, .random_tokens = 5, .random_weights = true};
  const Model model(options);
  LateDevice device;
  Parts parts(model, device, {});
  const Drawing drawing = small_drawing(model, 1);
  const Plan whole = make_plan(parts, drawing, {.available = std::size_t{1} << 40});
  EXPECT_EQ(whole.keep, Keep::All);
  const Image expected = draw_on(device, parts, drawing, whole);
  EXPECT_TRUE(device.slabs.empty());

  const Plan alone =
      make_plan(parts, drawing, {.keep = Keep::None, .available = std::size_t{1} << 40});
  const std::size_t layer = parts.size(Stage::Denoise).layers.front();
  const Plan less =
      make_plan(parts, drawing, {.available = alone.of(Stage::Denoise).total - 2 * layer});
  EXPECT_EQ(less.of(Stage::Denoise).streamed, 4);  // two for the slots
  EXPECT_EQ(less.of(Stage::Denoise).copies, 4 * layer);
  EXPECT_EQ(less.of(Stage::EncodePrompt).streamed, 0);
  for (int pictures = 0; pictures < 2; ++pictures)
    EXPECT_EQ(draw_on(device, parts, drawing, less).rgb, expected.rgb);
  ASSERT_EQ(device.slabs.size(), 1U);
  EXPECT_GE(device.slabs[0]->fetched.size(), 2U * 4);
}

// Passes of fewer pictures come before networks are released and before blocks are streamed; where
// these are, all pictures again share what is streamed.
TEST(Residency, SpreadsPicturesOverAsFewPassesAsFit) {
  const Model model({.model = kModel, .random_tokens = 5, .random_weights = true});
  LateDevice device;
  Parts parts(model, device, {});
  const Drawing five = small_drawing(model, 5);
  const auto with = [&](const Drawing& drawing, Keep keep, std::size_t available) {
    return make_plan(parts, drawing, {.keep = keep, .available = available});
  };
  constexpr std::size_t kMuch = std::size_t{1} << 40;
  const auto all = [&](std::int64_t count) {
    return with(small_drawing(model, count), Keep::All, kMuch).total;
  };
  const auto released = [&](std::int64_t count) {
    return with(small_drawing(model, count), Keep::None, kMuch).of(Stage::Denoise).total;
  };
  const auto expect = [](const Plan& plan, Keep keep, std::int64_t pictures, bool streams) {
    EXPECT_EQ(plan.count, 5);
    EXPECT_EQ(plan.keep, keep);
    EXPECT_EQ(plan.pictures_per_pass, pictures);
    EXPECT_EQ(plan.of(Stage::Denoise).streamed > 0, streams);
    EXPECT_LE(plan.total, plan.available);
  };
  expect(with(five, Keep::Auto, all(5)), Keep::All, 5, false);
  // Three and two are as many passes as four and one.
  expect(with(five, Keep::Auto, all(5) - 1), Keep::All, 3, false);
  expect(with(five, Keep::Auto, all(3)), Keep::All, 3, false);
  expect(with(five, Keep::Auto, all(3) - 1), Keep::All, 2, false);
  expect(with(five, Keep::Auto, all(1)), Keep::All, 1, false);
  expect(with(five, Keep::Auto, all(1) - 1), Keep::None, 5, false);
  expect(with(five, Keep::None, released(5) - 1), Keep::None, 3, false);
  expect(with(five, Keep::Auto, released(1)), Keep::None, 1, false);
  expect(with(five, Keep::Auto, released(1) - 1), Keep::None, 5, true);
  const Plan refused = with(five, Keep::All, all(1) - 1);
  EXPECT_EQ(refused.pictures_per_pass, 1);
  EXPECT_GT(refused.total, refused.available);
}

// Draws 20 pictures of a request of two steps in one pass and, under a limit, in several.
void expect_the_same_in_passes(Request request) {
  if (!kOwnMemoryIsSeen) GTEST_SKIP() << "a limit on memory that hides the engine's says nothing";
  request.count = 20;
  const Plan whole = Pipeline({.model = kModel, .keep = Keep::All}).plan(request);
  ASSERT_EQ(whole.pictures_per_pass, 20);
  const Result expected = Pipeline({.model = kModel}).generate(request);
  // Half of what the passes could save.
  Request one = request;
  one.count = 1;
  const Plan least = Pipeline({.model = kModel, .keep = Keep::All}).plan(one);
  Pipeline pipeline({.model = kModel,
                     .keep = Keep::All,
                     .memory_limit = least.total + (whole.total - least.total) / 2});
  const Plan plan = pipeline.plan(request);
  EXPECT_GT(plan.pictures_per_pass, 1);
  EXPECT_LT(plan.pictures_per_pass, 20);
  const std::int64_t passes = (19 + plan.pictures_per_pass) / plan.pictures_per_pass;
  std::vector<std::int64_t> steps;
  const Result result = pipeline.generate(request, [&](const Progress& progress) {
    if (progress.stage != Stage::Denoise) return;
    EXPECT_EQ(progress.steps, 2 * passes);
    steps.push_back(progress.step);
  });
  EXPECT_EQ(steps.size(), 1U + 2U * static_cast<std::size_t>(passes));
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  ASSERT_EQ(result.images.size(), 20U);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(result.images[i].rgb, expected.images[i].rgb) << i;
}

TEST(Residency, DrawsTheSamePicturesInSeveralPasses) {
  expect_the_same_in_passes(small(32, 32));
}

// The noise of a step is one draw for all pictures, in whichever pass they are.
TEST(Residency, AddsTheSameNoiseInSeveralPasses) {
  Request request = small(32, 32);
  request.sampler = Sampler::Dpmpp2MSde;
  expect_the_same_in_passes(request);
  request.rng = RngKind::Cuda;
  expect_the_same_in_passes(request);
}

TEST(Residency, GuidesTheSameInSeveralPasses) {
  Request request = small(32, 32);
  request.guidance = 2.0;
  expect_the_same_in_passes(request);
}

// A longer picture takes activations, so that fewer blocks stay.
TEST(Residency, StreamsMoreForMore) {
  const DeepModel model;
  Pipeline pipeline(model.options(decoder_limit(model)));
  EXPECT_LT(pipeline.plan(small(64, 64)).of(Stage::Denoise).streamed,
            pipeline.plan(small(256, 1024)).of(Stage::Denoise).streamed);
}

// Right strips: 103 dB; normed by their own statistics: below 50. tests/golden/strips_test.cc says
// it of more pictures.
TEST(Residency, DecodesInStripsThatChangeNothing) {
  const Image whole = Pipeline({.model = kModel}).generate(small(512, 448)).images.front();
  const Plan unlimited = Pipeline({.model = kModel, .keep = Keep::None}).plan(small(512, 448));
  Pipeline pipeline({.model = kModel, .memory_limit = unlimited.total - 16 * kMebibyte});
  EXPECT_GT(pipeline.plan(small(512, 448)).strip_rows, 0);
  const Image strips = pipeline.generate(small(512, 448)).images.front();
  ASSERT_EQ(strips.rgb.size(), whole.rgb.size());
  double squares = 0;
  for (std::size_t i = 0; i < whole.rgb.size(); ++i) {
    const double difference =
        static_cast<double>(whole.rgb[i]) - static_cast<double>(strips.rgb[i]);
    squares += difference * difference;
  }
  const double decibels =
      10 * std::log10(255.0 * 255.0 * static_cast<double>(whole.rgb.size()) / squares);
  EXPECT_GT(decibels, 80);
}

// What previews are made with is fitted on a small picture, which may not fit in one piece either.
TEST(Residency, PreviewsWhereTheDecoderWorksInStrips) {
  const Plan unlimited = Pipeline({.model = kModel, .keep = Keep::None}).plan(small(128, 128));
  Pipeline pipeline({.model = kModel, .memory_limit = unlimited.total - 2 * kMebibyte});
  EXPECT_GT(pipeline.plan(small(128, 128)).strip_rows, 0);
  std::int64_t previews = 0;
  const Result result = pipeline.generate(
      small(128, 128), {}, {}, {.every = 1, .show = [&](const Preview&) { ++previews; }});
  EXPECT_EQ(result.images.size(), 1U);
  EXPECT_GT(previews, 0);
}

TEST(Residency, KeepsEveryNetworkWhenToldAndRefusesOtherwise) {
  const Plan all = Pipeline({.model = kModel, .keep = Keep::All}).plan(small(64, 64));
  Pipeline pipeline({.model = kModel, .keep = Keep::All, .memory_limit = all.total / 2});
  const Error error = error_of([&] { pipeline.generate(small(64, 64)); });
  EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
  EXPECT_THAT(error.what(), HasSubstr("with every network loaded"));
}

// The two sizes that the refusal names fit, and one step more does not.
TEST(Residency, NamesTheNearestSizesThatFit) {
  const Plan plan = Pipeline({.model = kModel, .keep = Keep::None}).plan(small(256, 208));
  Pipeline pipeline({.model = kModel, .memory_limit = plan.total});
  bool began = false;
  const Error error = error_of(
      [&] { pipeline.generate(small(2048, 208), [&](const Progress&) { began = true; }); });
  EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
  EXPECT_FALSE(began);
  const std::string text = error.what();
  EXPECT_THAT(text, HasSubstr("of activations; the most in stage \"decode\")"));
  const std::string words = "the nearest sizes that fit are ";
  ASSERT_THAT(text, HasSubstr(words));
  long long sizes[4] = {};
  ASSERT_EQ(std::sscanf(text.c_str() + text.find(words) + words.size(), "%lldx%lld and %lldx%lld",
                        &sizes[0], &sizes[1], &sizes[2], &sizes[3]),
            4)
      << text;
  const auto fits = [&](std::int64_t width, std::int64_t height) {
    const Plan other = pipeline.plan(small(width, height));
    return other.total <= other.available;
  };
  EXPECT_TRUE(fits(sizes[0], sizes[1])) << text;
  EXPECT_TRUE(fits(sizes[2], sizes[3])) << text;
  EXPECT_EQ(sizes[3], 208);
  EXPECT_FALSE(fits(sizes[2] + 16, sizes[3])) << text;
}

// The decoder's activations are not there while the other networks run, nor theirs while it runs.
TEST(Residency, CountsACardsActivationsByStage) {
  Plan plan;
  plan.process = 1000;
  const auto stage = [](Stage name, std::size_t weights, std::size_t activations) {
    return StagePlan{
        .stage = name, .weights = weights, .activations = activations, .workspace = weights / 100};
  };
  plan.stages = {StagePlan{.stage = Stage::EncodeImage, .runs = false},
                 stage(Stage::EncodePrompt, 70000, 30), stage(Stage::Denoise, 120000, 200),
                 stage(Stage::Decode, 1000, 10000)};
  plan.keep = Keep::None;
  add_totals(plan, MemoryKind::Device);
  EXPECT_EQ(plan.of(Stage::EncodePrompt).total, 1000U + 70000 + 200 + 1200);
  EXPECT_EQ(plan.of(Stage::Denoise).total, 1000U + 120000 + 200 + 1200);
  EXPECT_EQ(plan.of(Stage::Decode).total, 1000U + 1000 + 10000 + 1200);
  EXPECT_EQ(plan.total, plan.of(Stage::Denoise).total);
  plan.keep = Keep::All;
  add_totals(plan, MemoryKind::Device);
  EXPECT_EQ(plan.of(Stage::EncodePrompt).total, 1000U + 70000 + 10000 + 1200);
  EXPECT_EQ(plan.total, 1000U + 191000 + 10000 + 1200);
}

TEST(Residency, SaysWhatAStageLacks) {
  Plan plan;
  plan.of(Stage::Decode) = {.stage = Stage::Decode, .total = std::size_t{3} << 30};
  plan.available = std::size_t{4} << 30;
  EXPECT_THAT(shortage(plan, Stage::Decode, "cuda: 1.3 GiB asked for"),
              testing::AllOf(HasSubstr("decode: cuda: 1.3 GiB asked for; 3.00 GiB were planned"),
                             HasSubstr("4.00 GiB were available then")));
}

TEST(Residency, SaysWhenNoSizeFits) {
  Pipeline pipeline({.model = kModel, .memory_limit = kMebibyte});
  const Error error = error_of([&] { pipeline.generate(small(64, 64)); });
  EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
  EXPECT_THAT(error.what(), HasSubstr("1.00 MiB are available; no size fits"));
}

}  // namespace
}  // namespace zimage
