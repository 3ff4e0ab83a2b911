// config.json of the autoencoder: what is read, what is refused.
#include "vae/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "error_of.h"

namespace zimage {
namespace {

using testing::HasSubstr;

Json published() {
  return Json::parse(
      R"({"act_fn": "silu", "block_out_channels": [128, 256, 512, 512], "latent_channels": 16,
    "latents_mean": null, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3, "sample_size": 1024,
    "scaling_factor": 0.3611, "shift_factor": 0.1159, "use_post_quant_conv": false,
    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"]})");
}

VaeConfig read(const Json& json) {
  return VaeConfig::from_json(JsonObject(json, "config.json"));
}

TEST(VaeConfig, ReadsThePublishedModel) {
  const VaeConfig config = read(published());
  EXPECT_EQ(config.scale(), 8);
  EXPECT_EQ(config.sample_size, 1024);
  EXPECT_FLOAT_EQ(config.scaling_factor, 0.3611F);
  EXPECT_TRUE(config.mid_attention);
}

TEST(VaeConfig, RefusesWhatItCannotCompute) {
  const auto refuses = [](const char* key, const Json& value, ErrorCode code,
                          const char* expected) {
    Json json = published();
    json[key] = value;
    const Error error = error_of([&] { read(json); });
    EXPECT_EQ(error.code(), code) << key;
    EXPECT_THAT(error.what(), HasSubstr(expected)) << key;
  };
  refuses("use_post_quant_conv", true, ErrorCode::Unsupported, "expected false");
  refuses("latents_mean", Json::array({0.1}), ErrorCode::Unsupported, "expected null");
  refuses("act_fn", "relu", ErrorCode::Unsupported, "expected \"silu\"");
  refuses("up_block_types", Json::array({"AttnUpDecoderBlock2D"}), ErrorCode::Unsupported,
          "UpDecoderBlock2D");
  refuses("block_out_channels", Json::array({100}), ErrorCode::InvalidFile,
          "multiples of norm_num_groups");
  refuses("scaling_factor", 0, ErrorCode::InvalidFile, "another number");
  refuses("sample_size", 0, ErrorCode::InvalidFile, "expected 1 to");
}

}  // namespace
}  // namespace zimage
