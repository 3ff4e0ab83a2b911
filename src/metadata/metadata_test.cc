#include "metadata/metadata.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace zimage {
namespace {

Provenance example() {
  return {.request = {.prompt = "a \"red\" heart,\nsecond line",
                      .width = 260,
                      .height = 200,
                      .steps = 8,
                      .sampler = Sampler::Dpmpp3M,
                      .seed = 18446744073709551615U,
                      .rng = RngKind::Cuda},
          .model = "zimage-tiny",
          .device = "cpu: AVX2, 2 threads",
          .precision = "exact",
          .encoding = "fp8",
          .cpu_kernel = "avx2"};
}

std::string end_of_parameters() {
  return "Version: zimage " + std::string(version());
}

TEST(A1111Parameters, ArePromptAndOneLineOfSettings) {
  EXPECT_EQ(a1111_parameters(example()),
            "a \"red\" heart,\nsecond line\n"
            "Steps: 8, Sampler: DPM++ 3M, CFG scale: 1, Seed: 18446744073709551615, Size: 260x200, "
            "Model: zimage-tiny, RNG: NV, " +
                end_of_parameters());
}

TEST(A1111Parameters, TellTheBatchOfSeveralPictures) {
  Provenance provenance = example();
  provenance.request.count = 4;
  provenance.index = 2;
  EXPECT_NE(a1111_parameters(provenance)
                .find("Model: zimage-tiny, Batch size: 4, Batch pos: 2, RNG: NV, "),
            std::string::npos);
}

TEST(A1111Parameters, NameTheSampler) {
  Provenance provenance = example();
  provenance.request.sampler = Sampler::Dpmpp2MSde;
  EXPECT_NE(a1111_parameters(provenance).find("Steps: 8, Sampler: DPM++ 2M SDE, CFG scale: 1, "),
            std::string::npos);
}

TEST(A1111Parameters, HoldAScheduleOfOnesOwn) {
  Provenance provenance = example();
  provenance.request.shift = 1;
  provenance.request.sigmas = {1, 0.9, 0.25};
  EXPECT_NE(
      a1111_parameters(provenance).find("CFG scale: 1, Shift: 1, Sigmas: \"1,0.9,0.25\", Seed: "),
      std::string::npos);
  const nlohmann::json json = nlohmann::json::parse(request_json(provenance));
  EXPECT_EQ(json.at("shift"), 1);
  EXPECT_EQ(json.at("sigmas"), (std::vector<double>{1, 0.9, 0.25}));
  EXPECT_FALSE(nlohmann::json::parse(request_json(example())).contains("sigmas"));
}

// A1111 counts the scale from the negative prompt, this engine from the prompt.
TEST(A1111Parameters, HoldGuidance) {
  Provenance provenance = example();
  provenance.request.prompt = "a cat";
  provenance.request.negative_prompt = "red";
  EXPECT_EQ(a1111_parameters(provenance).find("Negative"), std::string::npos);
  provenance.request.guidance = 3.5;
  EXPECT_TRUE(
      a1111_parameters(provenance)
          .starts_with("a cat\nNegative prompt: red\nSteps: 8, Sampler: DPM++ 3M, CFG scale: "
                       "4.5, Seed: "));
  const nlohmann::json json = nlohmann::json::parse(request_json(provenance));
  EXPECT_EQ(json.at("guidance"), 3.5);
  EXPECT_EQ(json.at("negative_prompt"), "red");
  EXPECT_EQ(json.at("cfg_normalization"), 0);
  EXPECT_EQ(json.at("cfg_truncation"), 1);
  EXPECT_EQ(nlohmann::json::parse(request_json(example())).at("guidance"), 0);
  EXPECT_FALSE(nlohmann::json::parse(request_json(example())).contains("negative_prompt"));
}

TEST(A1111Parameters, HoldTheStrengthOfAPictureIn) {
  Provenance provenance = example();
  provenance.request.strength = 0.75;
  provenance.request.composite = false;
  provenance.sources.init_image = {.name = "in.png", .sha256 = "ab"};
  EXPECT_NE(a1111_parameters(provenance).find("CFG scale: 1, Denoising strength: 0.75, Seed: "),
            std::string::npos);
  nlohmann::json json = nlohmann::json::parse(request_json(provenance));
  EXPECT_EQ(json.at("strength"), 0.75);
  EXPECT_EQ(json.at("init_image").at("file"), "in.png");
  EXPECT_EQ(json.at("init_image").at("sha256"), "ab");
  EXPECT_FALSE(json.contains("composite"));
  provenance.sources.mask = {.name = "mask.png", .sha256 = "cd"};
  json = nlohmann::json::parse(request_json(provenance));
  EXPECT_EQ(json.at("mask").at("file"), "mask.png");
  EXPECT_EQ(json.at("composite"), false);
  EXPECT_FALSE(nlohmann::json::parse(request_json(example())).contains("strength"));
}

TEST(A1111Parameters, AnEmptyPromptHasNoLine) {
  Provenance provenance = example();
  provenance.request.prompt = "";
  EXPECT_TRUE(a1111_parameters(provenance).starts_with("Steps: 8, "));
}

TEST(A1111Parameters, ValuesThatReadersWouldSplitAreQuoted) {
  Provenance provenance = example();
  for (const auto& [model, written] : {std::pair{"Z-Image-Turbo", "Model: Z-Image-Turbo, "},
                                       {"a, b", "Model: \"a, b\", "},
                                       {"a: b", "Model: \"a: b\", "},
                                       {"say \"hi\"", "Model: \"say \\\"hi\\\"\", "}}) {
    provenance.model = model;
    EXPECT_NE(a1111_parameters(provenance).find(written), std::string::npos) << model;
  }
}

TEST(RequestJson, HoldsEverythingThatDecidesThePicture) {
  const nlohmann::json json = nlohmann::json::parse(request_json(example()));
  EXPECT_EQ(json.at("program"), "zimage");
  EXPECT_EQ(json.at("version"), std::string(version()));
  EXPECT_EQ(json.at("prompt"), example().request.prompt);
  EXPECT_EQ(json.at("width"), 260);
  EXPECT_EQ(json.at("height"), 200);
  EXPECT_EQ(json.at("steps"), 8);
  EXPECT_EQ(json.at("sampler"), "dpmpp-3m");
  EXPECT_EQ(json.at("seed").get<std::uint64_t>(), 18446744073709551615U);
  EXPECT_EQ(json.at("rng"), "cuda");
  EXPECT_EQ(json.at("count"), 1);
  EXPECT_EQ(json.at("index"), 0);
  EXPECT_EQ(json.at("model"), "zimage-tiny");
  EXPECT_EQ(json.at("device"), "cpu: AVX2, 2 threads");
  EXPECT_EQ(json.at("precision"), "exact");
  EXPECT_EQ(json.at("encoding"), "fp8");
  EXPECT_EQ(json.at("cpu_kernel"), "avx2");
  EXPECT_EQ(request_json(example()).find('\n'), std::string::npos);
}

TEST(Metadata, SurvivesAPngInAnyScript) {
  Provenance provenance = example();
  for (const char* prompt :
       {"plain", "caf\xc3\xa9", "\xe4\xb8\x80\xe5\x8f\xaa\xe7\x8c\xab \xf0\x9f\x90\x88", "",
        "control \x1b and \x7f"}) {
    provenance.request.prompt = prompt;
    const ImageText text = metadata(provenance);
    const Image image{.width = 1, .height = 1, .rgb = {1, 2, 3}};
    EXPECT_EQ(decode_png(encode_png(image, text), "test.png").text, text);
    EXPECT_EQ(nlohmann::json::parse(text[1].second).at("prompt"), prompt);
  }
}

}  // namespace
}  // namespace zimage
