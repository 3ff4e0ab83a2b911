// Requests on Z-Image-Tiny: defaults, limits, plans, cancellation, damaged weights.
#include "pipeline/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/process_memory.h"
#include "damaged_model.h"
#include "error_of.h"
#include "own_memory.h"
#include "temp_folder.h"

namespace zimage {
namespace {

using testing::HasSubstr;

const std::filesystem::path kModel = ZIMAGE_SOURCE_DIR "/models/zimage-tiny";

Request small(std::int64_t width, std::int64_t height) {
  return {.prompt = "a red apple", .width = width, .height = height, .steps = 1, .seed = 7};
}

TEST(Pipeline, TakesDefaultsFromTheModel) {
  const Pipeline pipeline({.model = kModel});
  const Request request = pipeline.complete({.prompt = "x"});
  EXPECT_EQ(request.width, 256);
  EXPECT_EQ(request.height, 256);
  EXPECT_EQ(request.steps, 8);
}

// Once as it is, once with rows and captions that need pads, twice on one pipeline as it grows and
// shrinks.
TEST(Pipeline, UsesExactlyTheActivationsItPlanned) {
  Pipeline pipeline({.model = kModel});
  for (const Request& request : {small(64, 64), small(112, 80), small(48, 176), small(64, 64)}) {
    const Plan plan = pipeline.plan(request);
    std::size_t planned = 0;
    for (const StagePlan& stage : plan.stages) planned = std::max(planned, stage.activations);
    EXPECT_EQ(pipeline.generate(request).activations_used, planned);
    EXPECT_GE(plan.total, planned + plan.of(Stage::EncodePrompt).weights +
                              plan.of(Stage::Denoise).weights + plan.of(Stage::Decode).weights);
  }
}

TEST(Pipeline, DrawsTheNextMultipleOf16AndCrops) {
  Pipeline pipeline({.model = kModel});
  const Result odd = pipeline.generate(small(50, 33));
  EXPECT_EQ(odd.images.front().width, 50);
  EXPECT_EQ(odd.images.front().height, 33);
  EXPECT_EQ(odd.drawn_width, 64);
  EXPECT_EQ(odd.drawn_height, 48);
  const Image whole = pipeline.generate(small(64, 48)).images.front();
  for (std::size_t y = 0; y < 33; ++y) {
    const auto row = [y](const Image& image) {
      const auto begin = image.rgb.begin() + static_cast<std::ptrdiff_t>(y) * image.width * 3;
      return std::vector<std::uint8_t>(begin, begin + std::ptrdiff_t{50} * 3);
    };
    ASSERT_EQ(row(odd.images.front()), row(whole)) << "row " << y;
  }
}

TEST(Pipeline, GivesTheSamePixelsForTheSameRequest) {
  Pipeline two({.model = kModel, .threads = 2});
  Pipeline one({.model = kModel, .threads = 1});
  const Result first = two.generate(small(80, 64));
  EXPECT_EQ(two.generate(small(80, 64)).images.front().rgb, first.images.front().rgb);
  EXPECT_EQ(one.generate(small(80, 64)).images.front().rgb, first.images.front().rgb);
  Request other = small(80, 64);
  other.seed = 8;
  EXPECT_NE(two.generate(other).images.front().rgb, first.images.front().rgb);
  other = small(80, 64);
  other.rng = RngKind::Cuda;
  EXPECT_NE(two.generate(other).images.front().rgb, first.images.front().rgb);
}

// The noise of torch's CPU generator begins alike however long it is.
TEST(Pipeline, DrawsSeveralPicturesOfWhichTheFirstIsThatOfOne) {
  Pipeline pipeline({.model = kModel});
  Request request = small(72, 48);
  const Result one = pipeline.generate(request);
  request.count = 3;
  const Result three = pipeline.generate(request);
  ASSERT_EQ(three.images.size(), 3U);
  EXPECT_EQ(three.request.count, 3);
  EXPECT_EQ(three.images[0].rgb, one.images.front().rgb);
  EXPECT_NE(three.images[1].rgb, three.images[0].rgb);
  EXPECT_NE(three.images[2].rgb, three.images[1].rgb);
  EXPECT_EQ(three.images[2].width, 72);
  request.rng = RngKind::Cuda;
  EXPECT_NE(pipeline.generate(request).images[1].rgb, three.images[1].rgb);
}

// Once with pads, once without. The work grows with the pictures, but for the prompt's part of it.
TEST(Pipeline, PlansSeveralPicturesToTheByte) {
  Pipeline pipeline({.model = kModel});
  for (Request request : {small(112, 80), small(128, 64)}) {
    const Plan one = pipeline.plan(request);
    request.count = 4;
    const Plan plan = pipeline.plan(request);
    EXPECT_EQ(plan.count, 4);
    EXPECT_EQ(plan.pictures_per_pass, 4);
    std::size_t planned = 0;
    for (const StagePlan& stage : plan.stages) planned = std::max(planned, stage.activations);
    EXPECT_EQ(pipeline.generate(request).activations_used, planned);
    EXPECT_GT(plan.of(Stage::Denoise).activations, 3 * one.of(Stage::Denoise).activations);
    EXPECT_EQ(plan.of(Stage::EncodePrompt).flops, one.of(Stage::EncodePrompt).flops);
    EXPECT_GT(plan.of(Stage::Denoise).flops, 3.5 * one.of(Stage::Denoise).flops);
    EXPECT_LT(plan.of(Stage::Denoise).flops, 4 * one.of(Stage::Denoise).flops);
    EXPECT_EQ(plan.of(Stage::Decode).flops, 4 * one.of(Stage::Decode).flops);
    EXPECT_EQ(plan.of(Stage::Decode).activations, one.of(Stage::Decode).activations);
  }
}

TEST(Pipeline, DrawsWithEverySamplerInWhatItPlanned) {
  Pipeline pipeline({.model = kModel});
  Request request = small(64, 48);
  request.steps = 5;
  std::vector<std::vector<std::uint8_t>> pictures;  // that differ
  for (const Sampler sampler : samplers()) {
    request.sampler = sampler;
    const Plan plan = pipeline.plan(request);
    EXPECT_EQ(plan.evaluations, sampler == Sampler::Heun ? 9 : 5);
    std::int64_t steps = 0;
    const Result result = pipeline.generate(request, [&](const Progress& progress) {
      if (progress.stage != Stage::Denoise) return;
      EXPECT_EQ(progress.steps, plan.evaluations);
      steps = progress.step;
    });
    EXPECT_EQ(steps, plan.evaluations);
    std::size_t planned = 0;
    for (const StagePlan& stage : plan.stages) planned = std::max(planned, stage.activations);
    EXPECT_EQ(result.activations_used, planned) << name_of(sampler);
    const std::vector<std::uint8_t>& drawn = result.images.front().rgb;
    if (std::find(pictures.begin(), pictures.end(), drawn) == pictures.end())
      pictures.push_back(drawn);
    EXPECT_EQ(pipeline.generate(request).images.front().rgb, result.images.front().rgb);
  }
  // Of first order, both ways are one line along the velocity.
  EXPECT_EQ(pictures.size(), samplers().size() - 1);
}

// The largest difference of two pictures' numbers.
int difference(const Image& a, const Image& b) {
  EXPECT_EQ(a.rgb.size(), b.rgb.size());
  int largest = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i)
    largest = std::max(largest, std::abs(int{a.rgb[i]} - int{b.rgb[i]}));
  return largest;
}

// u = 1, 3/4, 2/4, 1/4 are sigma = 1, 0.9, 0.75, 0.5 by the model's shift of 3.
TEST(Pipeline, TakesNoiseLevelsBeforeTheShift) {
  Pipeline pipeline({.model = kModel});
  Request request = small(64, 48);
  request.steps = 4;
  const Image spaced = pipeline.generate(request).images.front();
  request.steps = {};
  request.sigmas = {1, 0.75, 0.5, 0.25};
  EXPECT_EQ(pipeline.generate(request).images.front().rgb, spaced.rgb);
  request.sigmas = {1, 0.9, 0.75, 0.5, 0};
  EXPECT_GT(difference(pipeline.generate(request).images.front(), spaced), 5);
  request.shift = 1.0;
  EXPECT_LE(difference(pipeline.generate(request).images.front(), spaced), 1);
}

// The last 8 of 16 steps, by a strength or by levels of their own, begin alike and differ in the
// count that ends a run of third order alone.
TEST(Pipeline, TellsTheSamplerOfTheStepsThatAStrengthLeavesOut) {
  Pipeline pipeline({.model = kModel});
  Request request = small(32, 32);
  request.init_image = {.width = 32, .height = 32, .rgb = std::vector<std::uint8_t>(3072, 96)};
  for (const Sampler sampler : {Sampler::Dpmpp2M, Sampler::Dpmpp3M}) {
    request.sampler = sampler;
    Request part = request;
    part.steps = 16;
    part.strength = 0.5;
    Request whole = request;
    whole.steps = {};
    whole.strength = 1.0;
    for (int i = 8; i > 0; --i) whole.sigmas.push_back(i / 16.0);
    const bool same =
        pipeline.generate(part).images.front().rgb == pipeline.generate(whole).images.front().rgb;
    EXPECT_EQ(same, sampler == Sampler::Dpmpp2M) << name_of(sampler);
  }
}

// Of 64x64 pixels, 16 tokens: mu = 0.5 - 240 * 0.65 / 3840, and levels move as by a shift of e^mu.
TEST(Pipeline, ShiftsWithTheSizeWhereTheModelSaysSo) {
  const TempFolder folder;
  for (const auto& entry : std::filesystem::directory_iterator(kModel)) {
    if (entry.path().filename() != "scheduler")
      std::filesystem::create_symlink(entry.path(), folder.path() / entry.path().filename());
  }
  std::filesystem::create_directory(folder.path() / "scheduler");
  std::ofstream(folder.path() / "scheduler" / "scheduler_config.json")
      << R"({"shift": 3.0, "use_dynamic_shifting": true, "base_shift": 0.5, "max_shift": 1.15})";
  Pipeline dynamic({.model = folder.path()});
  Pipeline constant({.model = kModel});
  Request request = small(64, 64);
  request.steps = 4;
  const Image drawn = dynamic.generate(request).images.front();
  EXPECT_GT(difference(constant.generate(request).images.front(), drawn), 5);
  request.shift = std::exp(0.5 - 240 * 0.65 / 3840);
  EXPECT_LE(difference(constant.generate(request).images.front(), drawn), 1);
  // A shift of the request's takes the place of both.
  EXPECT_EQ(dynamic.generate(request).images.front().rgb,
            constant.generate(request).images.front().rgb);
}

// Once with prompts of one padded length, once with others; with several pictures, too.
TEST(Pipeline, PlansGuidanceToTheByteAndDrawsAsWithoutAtZero) {
  Pipeline pipeline({.model = kModel});
  Request request = small(112, 80);
  request.steps = 2;
  const Plan plain = pipeline.plan(request);
  const Image unguided = pipeline.generate(request).images.front();
  request.negative_prompt = "red";
  request.guidance = 0;
  EXPECT_EQ(pipeline.generate(request).images.front().rgb, unguided.rgb);
  std::string words;
  for (int i = 0; i < 40; ++i) words += "red ";
  for (const std::string& negative : {std::string("red"), words}) {
    for (const std::int64_t count : {1, 3}) {
      request.negative_prompt = negative;
      request.guidance = 2.0;
      request.count = count;
      const Plan plan = pipeline.plan(request);
      std::size_t planned = 0;
      for (const StagePlan& stage : plan.stages) planned = std::max(planned, stage.activations);
      const Result result = pipeline.generate(request);
      EXPECT_EQ(result.activations_used, planned) << negative << " " << count;
      EXPECT_NE(result.images.front().rgb, unguided.rgb);
      EXPECT_GT(plan.of(Stage::Denoise).flops,
                static_cast<double>(count) * 1.7 * plain.of(Stage::Denoise).flops);
    }
  }
  // Both prompts in one forward are as wide as two pictures.
  request.count = 1;
  request.negative_prompt = "red";
  EXPECT_GT(pipeline.plan(request).of(Stage::Denoise).activations,
            plain.of(Stage::Denoise).activations / 5 * 8);
}

TEST(Pipeline, DrawsAnEmptyPrompt) {
  Pipeline pipeline({.model = kModel});
  Request request = small(32, 32);
  request.prompt = "";
  EXPECT_EQ(pipeline.generate(request).images.front().width, 32);
}

TEST(Pipeline, CutsPromptsAt512TokensAndSaysHowManyItDropped) {
  Pipeline pipeline({.model = kModel});
  Request request = small(32, 32);
  for (int i = 0; i < 600; ++i) request.prompt += " 7";
  const Result result = pipeline.generate(request);
  EXPECT_EQ(result.tokens, 512);
  EXPECT_GT(result.tokens_dropped, 500);
}

TEST(Pipeline, RefusesRequestsWithoutMeaning) {
  Pipeline pipeline({.model = kModel});
  const auto refuses = [&](const Request& request, ErrorCode code, const char* words) {
    const Error error = error_of([&] { pipeline.generate(request); });
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(words));
  };
  refuses(small(0, 64), ErrorCode::InvalidArgument, "width is 0, expected 1 to");
  refuses(small(64, -16), ErrorCode::InvalidArgument, "height is -16, expected 1 to");
  refuses(small(std::int64_t{1} << 62, 64), ErrorCode::InvalidArgument,
          "width is 4611686018427387904");
  refuses(small(8224, 64), ErrorCode::InvalidArgument, "takes 514 positions, the model has 512");
  Request steps = small(64, 64);
  steps.steps = 0;
  refuses(steps, ErrorCode::InvalidArgument, "steps is 0, expected 1 to");
  for (const std::int64_t count : {0, 65}) {
    Request pictures = small(64, 64);
    pictures.count = count;
    refuses(pictures, ErrorCode::InvalidArgument,
            ("count is " + std::to_string(count) + ", expected 1 to 64").c_str());
  }
  Request prompt = small(64, 64);
  prompt.prompt = "ab\xff";
  refuses(prompt, ErrorCode::InvalidArgument, "UTF-8");
}

// 4096x4096 takes gigabytes of pixels alone; the refusal names the figure and comes before any
// work.
TEST(Pipeline, RefusesWhatItsPlanSaysCannotFit) {
  Pipeline pipeline({.model = kModel, .memory_limit = std::size_t{200} << 20});
  bool began = false;
  const Error error = error_of(
      [&] { pipeline.generate(small(4096, 4096), [&](const Progress&) { began = true; }); });
  EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
  EXPECT_THAT(error.what(), HasSubstr("200.00 MiB are available"));
  EXPECT_FALSE(began);
}

TEST(Pipeline, ReportsEveryStepAndStopsWithinOne) {
  Pipeline pipeline({.model = kModel});
  Request request = small(64, 64);
  request.steps = 3;
  std::vector<std::int64_t> steps;
  pipeline.generate(request, [&](const Progress& progress) {
    if (progress.stage == Stage::Denoise) steps.push_back(progress.step);
    EXPECT_EQ(progress.steps, progress.stage == Stage::Denoise ? 3 : 1);
  });
  EXPECT_THAT(steps, testing::ElementsAre(0, 1, 2, 3));

  std::stop_source stop;
  std::int64_t last = 0;
  const Error error = error_of([&] {
    pipeline.generate(
        request,
        [&](const Progress& progress) {
          last = progress.step;
          if (progress.stage == Stage::Denoise && progress.step == 1) stop.request_stop();
        },
        stop.get_token());
  });
  EXPECT_EQ(error.code(), ErrorCode::Cancelled);
  EXPECT_EQ(last, 1);
  // A cancelled pipeline draws the next request as if nothing had been.
  EXPECT_EQ(pipeline.generate(request).images.front().width, 64);
}

TEST(Pipeline, CountsPicturesWhileItDecodesAndStopsBetweenThem) {
  Pipeline pipeline({.model = kModel});
  Request request = small(64, 64);
  request.count = 3;
  std::vector<std::int64_t> steps;
  std::stop_source stop;
  const auto watch = [&](const Progress& progress) {
    if (progress.stage != Stage::Decode) return;
    EXPECT_EQ(progress.steps, 3);
    steps.push_back(progress.step);
    if (steps.size() == 6) stop.request_stop();
  };
  pipeline.generate(request, watch);
  EXPECT_THAT(steps, testing::ElementsAre(0, 1, 2, 3));
  const Error error = error_of([&] { pipeline.generate(request, watch, stop.get_token()); });
  EXPECT_EQ(error.code(), ErrorCode::Cancelled);
  EXPECT_THAT(steps, testing::ElementsAre(0, 1, 2, 3, 0, 1));
}

// Memory of this process when the decoder has finished, and the picture.
std::pair<std::size_t, Image> memory_at_end(Keep keep) {
  Pipeline pipeline({.model = kModel, .keep = keep});
  std::size_t memory = 0;
  Image image = pipeline
                    .generate(small(64, 64),
                              [&](const Progress& progress) {
                                if (progress.stage == Stage::Decode && progress.step == 1)
                                  memory = resident_memory();
                              })
                    .images.front();
  return {memory, std::move(image)};
}

// Kept, the text encoder and the transformer are there while the decoder runs: 35 MiB of them.
TEST(Pipeline, ReleasesPartsAfterTheirStageAndDrawsTheSame) {
  const Plan plan = Pipeline({.model = kModel}).plan(small(64, 64));
  const std::size_t released =
      plan.of(Stage::EncodePrompt).weights + plan.of(Stage::Denoise).weights;
  const auto [all, first] = memory_at_end(Keep::All);
  const auto [none, second] = memory_at_end(Keep::None);
  if (kOwnMemoryIsSeen) {
    EXPECT_GE(all, none + released / 10 * 9);
  }
  EXPECT_EQ(first.rgb, second.rgb);
}

TEST(Pipeline, LoadsAgainWhatWasReleased) {
  Pipeline pipeline({.model = kModel, .keep = Keep::None});
  const Image first = pipeline.generate(small(64, 64)).images.front();
  const std::size_t between = resident_memory();
  EXPECT_EQ(pipeline.generate(small(64, 64)).images.front().rgb, first.rgb);
  EXPECT_LE(resident_memory(), between + (std::size_t{4} << 20));
}

TEST(Pipeline, ComputesExactlyOnACpuUnlessToldOtherwise) {
  Pipeline exact({.model = kModel, .device = "cpu", .precision = "exact"});
  Pipeline automatic({.model = kModel, .device = "cpu"});
  EXPECT_EQ(exact.generate(small(48, 48)).images.front().rgb,
            automatic.generate(small(48, 48)).images.front().rgb);
  Pipeline fast({.model = kModel, .device = "cpu", .precision = "fast"});
  EXPECT_NE(fast.generate(small(48, 48)).images.front().rgb,
            exact.generate(small(48, 48)).images.front().rgb);
  const Error error = error_of([] { Pipeline({.model = kModel, .precision = "half"}); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("precision is \"half\", expected auto, exact, bf16 or fast"));
}

TEST(Pipeline, RefusesPrecisionsThatADeviceHasNot) {
  const auto refusal = [](const char* device, const char* precision) {
    const Error error = error_of([&] {
      Pipeline pipeline({.model = kModel, .device = device, .precision = precision});
      pipeline.plan(small(48, 48));
    });
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    return std::string(error.what());
  };
  EXPECT_THAT(refusal("reference", "fast"), HasSubstr("precision fast: reference"));
  const bool has_bf16 =
#if defined(__x86_64__)
      __builtin_cpu_supports("avx512bf16") != 0;
#else
      false;
#endif
  if (!has_bf16) {
    EXPECT_THAT(refusal("cpu", "bf16"), HasSubstr("no instructions for products of bf16"));
  }
}

TEST(Pipeline, TakesAnEncodingThatThePrecisionAllows) {
  const auto refusal = [](const char* encoding, const char* precision) {
    const Error error = error_of([&] {
      Pipeline({.model = kModel, .device = "cpu", .precision = precision, .encoding = encoding});
    });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return std::string(error.what());
  };
  EXPECT_THAT(refusal("int4", "auto"), HasSubstr("\"int4\", expected auto, bf16 or fp8"));
  EXPECT_THAT(refusal("bf16", "exact"), HasSubstr("\"exact\", expected auto or bf16 beside it"));
  EXPECT_THAT(refusal("bf16", "fast"), HasSubstr("\"fast\", expected auto or bf16 beside it"));
  // Not the reference's: it reaches the backend, which says so.
  const Error error = error_of([] {
    Pipeline pipeline({.model = kModel, .device = "reference", .encoding = "bf16"});
    pipeline.plan(small(48, 48));
  });
  EXPECT_EQ(error.code(), ErrorCode::Unsupported);
}

TEST(Pipeline, ComputesWithTheKernelThatIsNamed) {
  Pipeline portable({.model = kModel, .device = "cpu", .threads = 1, .cpu_kernel = "portable"});
  EXPECT_EQ(portable.device_description(), "cpu: portable, 1 thread");
  for (const char* device : {"cpu", "reference", "auto"}) {
    const Error error =
        error_of([&] { Pipeline({.model = kModel, .device = device, .cpu_kernel = "sse9"}); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("CPU kernel is \"sse9\", expected best, avx512, avx2 or"));
  }
}

TEST(Pipeline, NamesDevicesThatItDoesNotKnow) {
  const Error error = error_of([] { Pipeline({.model = kModel, .device = "tpu"}); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("expected auto, cpu"));
  for (const char* device : {"cuda:", "cuda:x", "cuda:-1", "cuda:-0", "cuda:1x"}) {
    const Error index = error_of([&] { Pipeline({.model = kModel, .device = device}); });
    EXPECT_EQ(index.code(), ErrorCode::InvalidArgument) << device;
    EXPECT_THAT(index.what(), HasSubstr("expected cuda:N with N from 0")) << device;
  }
}

TEST(Pipeline, NamesTheStageWhereNanOrInfinityAppears) {
  constexpr std::uint16_t kNan = 0x7fc0;
  constexpr std::uint16_t kInfinity = 0x7f80;
  const auto refuses = [](const DamagedModel& model, const char* stage) {
    Pipeline pipeline({.model = model.path()});
    const Error error = error_of([&] { pipeline.generate(small(32, 32)); });
    EXPECT_EQ(error.code(), ErrorCode::Numerics);
    EXPECT_THAT(error.what(), HasSubstr(stage));
  };
  refuses({kModel, "text_encoder", "model.safetensors", "layers.0.input_layernorm.weight", kNan},
          "text encoder: NaN or infinity in the caption's features");
  refuses({kModel, "transformer", "diffusion_pytorch_model-00001-of-00003.safetensors",
           "all_x_embedder.2-1.bias", kInfinity},
          "denoise: NaN or infinity in the velocity of step 1;");
  refuses({kModel, "vae", "diffusion_pytorch_model.safetensors", "decoder.conv_out.bias", kNan},
          "decode: NaN or infinity in its pixels");
}

// A bias so great that every pixel is clamped.
TEST(Pipeline, RefusesAPictureOfOneColourUnlessItIsAllowed) {
  DamagedModel model(kModel, "vae", "diffusion_pytorch_model.safetensors", "decoder.conv_out.bias",
                     0xc680);
  for (const std::uint64_t channel : {1U, 2U})
    model.damage("vae", "diffusion_pytorch_model.safetensors", "decoder.conv_out.bias", 0xc680,
                 channel);
  Pipeline pipeline({.model = model.path()});
  Request request = small(64, 64);
  const Error error = error_of([&] { pipeline.generate(request); });
  EXPECT_EQ(error.code(), ErrorCode::Numerics);
  EXPECT_THAT(error.what(), HasSubstr("decode: the picture is black, (0, 0, 0) all over"));
  request.allow_flat = true;
  EXPECT_EQ(pipeline.generate(request).images.front().rgb,
            std::vector<std::uint8_t>(64 * 64 * 3, 0));
}

}  // namespace
}  // namespace zimage
