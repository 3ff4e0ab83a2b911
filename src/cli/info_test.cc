#include "cli/info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace zimage::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ModelInfo example() {
  ModelInfo model;
  model.folder = "/models/example";
  model.class_name = "ZImagePipeline";
  model.parts = {
      {.name = "tokenizer",
       .class_name = "Qwen2Tokenizer",
       .files = {{"tokenizer.json", 912}},
       .dtypes = {}},
      {.name = "transformer",
       .class_name = "ZImageTransformer2DModel",
       .files = {{"a.safetensors", std::uint64_t{12} << 30}},
       .tensors = 521,
       .parameters = 6'154'900'000,
       .bytes = std::uint64_t{12} << 30,
       .dtypes = {{"bf16", 6'154'000'000}, {"f32", 900'000}}},
  };
  model.total = {.name = {},
                 .class_name = {},
                 .files = {},
                 .tensors = 521,
                 .parameters = 6'154'900'000,
                 .bytes = std::uint64_t{12} << 30,
                 .dtypes = {{"bf16", 6'154'000'000}, {"f32", 900'000}}};
  return model;
}

TEST(InfoTable, CountsInUnitsForPeople) {
  const std::string text = info_table(example());
  EXPECT_THAT(text, HasSubstr("/models/example (ZImagePipeline)\n"));
  EXPECT_THAT(
      text,
      HasSubstr("transformer         521      6.15 G    12.00 GiB  bf16 6.15 G, f32 900.00 k\n"));
  EXPECT_THAT(text, HasSubstr("total               521      6.15 G    12.00 GiB"));
  EXPECT_THAT(text, HasSubstr("tokenizer/tokenizer.json"));
  EXPECT_THAT(text, HasSubstr("912 B\n"));
}

TEST(InfoTable, SaysWhatIsWidened) {
  ModelInfo model = example();
  EXPECT_THAT(info_table(model), Not(HasSubstr("widened")));
  model.parts[1].widened = model.total.widened = {"fp8_e4m3", "q4_k"};
  EXPECT_THAT(info_table(model), HasSubstr("\nfp8_e4m3, q4_k: widened to bf16 when loaded\n"));
  const nlohmann::json json = nlohmann::json::parse(info_json(model));
  EXPECT_EQ(json.at("parts").at(1).at("widened"), nlohmann::json({"fp8_e4m3", "q4_k"}));
}

TEST(InfoJson, KeepsExactNumbers) {
  const nlohmann::json json = nlohmann::json::parse(info_json(example()));
  EXPECT_EQ(json.at("model"), "example");
  EXPECT_EQ(json.at("parameters"), 6'154'900'000);
  EXPECT_EQ(json.at("parts").at(1).at("dtypes").at("f32"), 900'000);
  EXPECT_EQ(json.at("parts").at(0).at("files").at(0).at("bytes"), 912);
}

}  // namespace
}  // namespace zimage::cli
