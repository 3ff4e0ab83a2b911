// Requests come back from what this program and others write of them.
#include "metadata/read_metadata.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "error_of.h"

namespace zimage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <typename Function>
std::string message_of(const Function& function) {
  return error_of(function).what();
}

Provenance example() {
  return {.request = {.prompt = "a \"red\" heart,\nSteps: 3, second line: 4, x: 5 ",
                      .width = 260,
                      .height = 200,
                      .steps = 3,
                      .sampler = Sampler::Dpmpp3M,
                      .sigmas = {1, 0.9, 0.1},
                      .shift = 2.5,
                      .guidance = 0.1,
                      .negative_prompt = "blurred,\nred",
                      .cfg_normalization = 0.5,
                      .cfg_truncation = 0.75,
                      .strength = 0.3,
                      .composite = false,
                      .seed = 18446744073709551615U,
                      .rng = RngKind::Cuda,
                      .count = 4},
          .index = 2,
          .model = "a, \"model\": of mine",
          .device = "cpu: AVX2, 2 threads",
          .precision = "exact",
          .encoding = "fp8",
          .cpu_kernel = "avx2",
          .sources = {.init_image = {.name = "in.png", .sha256 = "ab"},
                      .mask = {.name = "mask.png", .sha256 = "cd"}}};
}

// Whatever request_json() writes must be read: a field that is forgotten here shows as a note.
TEST(ParseRequestJson, ReadsEverythingThatIsWritten) {
  for (const Provenance& provenance : {example(), Provenance{}}) {
    const std::string json = request_json(provenance);
    const StoredMetadata stored = parse_request_json(json, "x");
    EXPECT_EQ(request_json(stored.provenance), json);
    EXPECT_THAT(stored.notes, IsEmpty());
    EXPECT_TRUE(stored.has_seed);
    EXPECT_EQ(stored.version, version());
  }
}

TEST(ParseRequestJson, TellsWhatItDoesNotKnow) {
  const StoredMetadata stored =
      parse_request_json(R"({"program":"zimage","prompt":"a","later":1,"more":{}})", "x");
  EXPECT_FALSE(stored.has_seed);
  EXPECT_THAT(stored.notes, ElementsAre("not known to this version: later, more"));
  EXPECT_EQ(json_line(stored.fields), R"({"program":"zimage","prompt":"a"})");
}

TEST(ParseRequestJson, RefusesDamageInOneSentence) {
  const auto refused = [](const char* json) {
    return message_of([json] { parse_request_json(json, "x.png"); });
  };
  EXPECT_THAT(refused("{"), HasSubstr("x.png: metadata: not valid JSON"));
  EXPECT_THAT(refused("[]"), HasSubstr("x.png: metadata"));
  EXPECT_THAT(refused(R"({"program":"other"})"), HasSubstr("\"program\" is \"other\""));
  EXPECT_THAT(refused(R"({"prompt":"a"})"), HasSubstr("\"program\" is not there"));
  EXPECT_THAT(refused(R"({"program":"zimage","count":0})"), HasSubstr("\"index\" is not there"));
  EXPECT_THAT(refused(R"({"program":"zimage","steps":"9"})"),
              HasSubstr("\"steps\" is string, expected an integer"));
  EXPECT_THAT(refused(R"({"program":"zimage","seed":-1})"), HasSubstr("\"seed\" is -1"));
  EXPECT_THAT(refused(R"({"program":"zimage","sampler":"x"})"),
              HasSubstr("\"sampler\" is \"x\", which this version does not know"));
  EXPECT_THAT(refused(R"({"program":"zimage","count":2,"index":2})"), HasSubstr("\"index\" is 2"));
  EXPECT_THAT(refused(R"({"program":"zimage","sigmas":[1,"a"]})"), HasSubstr("expected numbers"));
}

// What A1111's text can say of the same request.
TEST(ParseA1111Parameters, ReadsOurOwn) {
  Provenance provenance = example();
  provenance.request.prompt = "a \"red\" heart,\nSteps: 3, second line: 4, x: 5";
  const StoredMetadata stored = parse_a1111_parameters(a1111_parameters(provenance), "x");
  EXPECT_EQ(a1111_parameters(stored.provenance), a1111_parameters(provenance));
  EXPECT_EQ(stored.provenance.request.guidance, 0.1);
  EXPECT_EQ(stored.provenance.request.sigmas, provenance.request.sigmas);
  EXPECT_EQ(stored.provenance.index, 2);
  EXPECT_EQ(stored.version, "zimage " + std::string(version()));
  EXPECT_THAT(stored.notes, IsEmpty());
}

TEST(ParseA1111Parameters, ReadsTheWebUis) {
  const StoredMetadata stored = parse_a1111_parameters(
      "a cat, (red:1.2)\nwith a hat\nNegative prompt: blurred,\nlow: bad\n"
      "Steps: 9, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 123, Size: "
      "512x768, Model hash: 6ce0161689, Model: \"a, b\", Denoising strength: 0.4, Clip skip: 2, "
      "ADetailer prompt: \"say \\\"hi\\\", twice\", Lora hashes: \"a: b, c: d\", "
      "Civitai resources: [{\"type\":\"checkpoint\",\"id\":1}], Version: v1.10.1",
      "x");
  const Request& request = stored.provenance.request;
  EXPECT_EQ(request.prompt, "a cat, (red:1.2)\nwith a hat");
  EXPECT_EQ(request.negative_prompt, "blurred,\nlow: bad");
  EXPECT_EQ(request.steps, 9);
  EXPECT_EQ(request.sampler, Sampler::Dpmpp2M);
  EXPECT_EQ(request.guidance, 6.5);
  EXPECT_EQ(request.seed, 123U);
  EXPECT_TRUE(stored.has_seed);
  EXPECT_EQ(request.width, 512);
  EXPECT_EQ(request.height, 768);
  EXPECT_EQ(request.strength, 0.4);
  EXPECT_EQ(stored.provenance.model, "a, b");
  EXPECT_EQ(stored.fields.at("ADetailer prompt"), "say \"hi\", twice");
  EXPECT_EQ(stored.fields.at("Civitai resources"), R"([{"type":"checkpoint","id":1}])");
  EXPECT_THAT(stored.notes,
              ElementsAre("not taken: Schedule type, Model hash, Clip skip, ADetailer prompt, "
                          "Lora hashes, Civitai resources"));
}

TEST(ParseA1111Parameters, TellsASamplerThatIsNotHere) {
  const auto read = [](const char* sampler) {
    return parse_a1111_parameters("a\nSteps: 9, Seed: 1, Sampler: " + std::string(sampler), "x");
  };
  EXPECT_THAT(read("Euler a").notes, ElementsAre(HasSubstr("the sampler \"Euler a\" is not one")));
  const StoredMetadata karras = read("DPM++ 2M Karras");
  EXPECT_EQ(karras.provenance.request.sampler, Sampler::Dpmpp2M);
  EXPECT_THAT(karras.notes, ElementsAre(HasSubstr("the schedule was not taken")));
}

TEST(ParseA1111Parameters, TellsAScaleThatIsNotHere) {
  const auto read = [](const char* scale) {
    return parse_a1111_parameters("a\nSteps: 9, Seed: 1, CFG scale: " + std::string(scale), "x");
  };
  const StoredMetadata below = read("0.5");
  EXPECT_EQ(below.provenance.request.guidance, 0);
  EXPECT_THAT(below.notes, ElementsAre(HasSubstr("the CFG scale 0.5 is less than 1")));
  EXPECT_THAT(read("1").notes, IsEmpty());
  EXPECT_THAT(read("1.0").notes, IsEmpty());
}

TEST(ParseA1111Parameters, RefusesNumbersThatAreNone) {
  for (const char* setting :
       {"Steps: many", "Seed: -1", "Size: 512", "Size: 512x", "CFG scale: ", "Seed: 1e99"}) {
    const std::string text = "a\nSampler: Euler, Steps: 2, " + std::string(setting) + ", Seed: 1";
    EXPECT_THAT(message_of([&] { parse_a1111_parameters(text, "x.png"); }),
                HasSubstr("x.png: metadata: "))
        << setting;
  }
}

TEST(IsA1111, WantsSettingsOrANegativePrompt) {
  EXPECT_TRUE(is_a1111("Steps: 1, Seed: 2, Size: 3x4"));
  EXPECT_TRUE(is_a1111("a\nNegative prompt: b"));
  EXPECT_FALSE(is_a1111("a holiday: sun, sea: warm, beach: long"));
  EXPECT_FALSE(is_a1111(""));
}

TEST(ParseMetadata, PrefersOurOwn) {
  const Provenance provenance = example();
  EXPECT_EQ(parse_metadata(metadata(provenance), "x").form, MetadataForm::Zimage);
  EXPECT_EQ(parse_metadata({metadata(provenance)[0]}, "x").form, MetadataForm::A1111);
  EXPECT_EQ(parse_metadata({{"ImageDescription", request_json(provenance)}}, "x").form,
            MetadataForm::Zimage);
}

TEST(ParseMetadata, NamesWhatItDoesNotRead) {
  const auto refused = [](const ImageText& texts) {
    return message_of([&] { parse_metadata(texts, "x.png"); });
  };
  EXPECT_THAT(refused({{"prompt", "{}"}}), HasSubstr("its text \"prompt\" is a graph of ComfyUI"));
  EXPECT_THAT(refused({{"Make", "workflow:{}"}}), HasSubstr("a graph of ComfyUI"));
  EXPECT_THAT(refused({}), HasSubstr("x.png: says nothing about how it was drawn"));
  EXPECT_THAT(refused({{"Software", "a"}}), HasSubstr("found \"Software\""));
}

}  // namespace
}  // namespace zimage
