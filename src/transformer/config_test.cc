// config.json of the transformer: what is read, what is refused and in which words.
#include "transformer/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "error_of.h"

namespace zimage {
namespace {

using testing::HasSubstr;

Json published() {
  return Json::parse(R"({"all_f_patch_size": [1], "all_patch_size": [2], "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512], "cap_feat_dim": 2560, "dim": 3840, "in_channels": 16, "n_heads": 30,
    "n_kv_heads": 30, "n_layers": 30, "n_refiner_layers": 2, "norm_eps": 1e-05, "qk_norm": true,
    "rope_theta": 256.0, "t_scale": 1000.0, "siglip_feat_dim": null})");
}

TransformerConfig read(const Json& json) {
  return TransformerConfig::from_json(JsonObject(json, "config.json"));
}

TEST(TransformerConfig, ReadsThePublishedModel) {
  const TransformerConfig config = read(published());
  EXPECT_EQ(config.dim, 3840);
  EXPECT_EQ(config.head_dim(), 128);
  EXPECT_EQ(config.ffn_dim(), 10240);
  EXPECT_EQ(config.token_features(), 64);
  EXPECT_EQ(config.conditioning_dim(), 256);
  EXPECT_EQ(config.modulated_blocks(), 32);
}

TEST(TransformerConfig, RefusesWhatItCannotCompute) {
  const auto refuses = [](const char* key, const Json& value, ErrorCode code,
                          const char* expected) {
    Json json = published();
    json[key] = value;
    const Error error = error_of([&] { read(json); });
    EXPECT_EQ(error.code(), code) << key;
    EXPECT_THAT(error.what(), HasSubstr(std::string("config.json: \"") + key)) << key;
    EXPECT_THAT(error.what(), HasSubstr(expected)) << key;
  };
  refuses("dim", 0, ErrorCode::InvalidFile, "expected 1 to 1048576");
  refuses("dim", 3841, ErrorCode::InvalidFile, "a multiple of n_heads");
  refuses("dim", "large", ErrorCode::InvalidFile, "expected an integer");
  refuses("n_kv_heads", 10, ErrorCode::Unsupported, "expected n_heads");
  refuses("qk_norm", false, ErrorCode::Unsupported, "expected true");
  refuses("axes_dims", Json::array({32, 48}), ErrorCode::InvalidFile, "expected three");
  refuses("axes_dims", Json::array({32, 48, 50}), ErrorCode::InvalidFile, "128");
  refuses("all_patch_size", Json::array({2, 4}), ErrorCode::Unsupported, "one value");
  refuses("siglip_feat_dim", 1152, ErrorCode::Unsupported, "expected null");
}

}  // namespace
}  // namespace zimage
