// config.json of the text encoder, in both of its spellings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "error_of.h"
#include "text_encoder/qwen3.h"

namespace zimage {
namespace {

using testing::HasSubstr;

Json published() {
  return Json::parse(R"({"model_type": "qwen3", "num_hidden_layers": 36, "hidden_size": 2560,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 9728,
    "vocab_size": 151936, "rope_theta": 1000000, "rope_scaling": null, "rms_norm_eps": 1e-06,
    "attention_bias": false, "use_sliding_window": false, "hidden_act": "silu"})");
}

Qwen3Config read(const Json& json) {
  return Qwen3Config::from_json(JsonObject(json, "config.json"));
}

TEST(Qwen3Config, ReadsThePublishedModel) {
  const Qwen3Config config = read(published());
  EXPECT_EQ(config.used_layers(), 35);
  EXPECT_EQ(config.kv_heads, 8);
  EXPECT_EQ(config.rope_theta, 1e6);
}

TEST(Qwen3Config, FindsThetaInsideRopeParameters) {
  Json json = published();
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_theta", 5e6}, {"rope_type", "default"}};
  EXPECT_EQ(read(json).rope_theta, 5e6);
}

TEST(Qwen3Config, RefusesWhatItCannotCompute) {
  const auto refuses = [](const char* key, const Json& value, ErrorCode code,
                          const char* expected) {
    Json json = published();
    json[key] = value;
    const Error error = error_of([&] { read(json); });
    EXPECT_EQ(error.code(), code) << key;
    EXPECT_THAT(error.what(), HasSubstr(expected)) << key;
  };
  refuses("model_type", "llama", ErrorCode::Unsupported, "expected \"qwen3\"");
  refuses("attention_bias", true, ErrorCode::Unsupported, "expected false");
  refuses("use_sliding_window", true, ErrorCode::Unsupported, "expected false");
  refuses("rope_scaling", {{"rope_type", "yarn"}}, ErrorCode::Unsupported, "expected \"default\"");
  refuses("num_hidden_layers", 1, ErrorCode::Unsupported, "expected 2 or more");
  refuses("num_key_value_heads", 5, ErrorCode::InvalidFile, "a multiple of");
  refuses("vocab_size", -1, ErrorCode::InvalidFile, "expected 1 to");
}

}  // namespace
}  // namespace zimage
