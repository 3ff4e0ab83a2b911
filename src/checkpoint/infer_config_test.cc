// The published model's configuration out of its shapes.
#include "checkpoint/infer_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "error_of.h"

namespace zimage {
namespace {

HostTensor of_shape(const Shape& shape) {
  return HostTensor::plain({nullptr, DType::BF16, shape});
}

TensorMap published_transformer() {
  TensorMap tensors{{"all_x_embedder.2-1.weight", of_shape({3840, 64})},
                    {"cap_embedder.1.weight", of_shape({3840, 2560})}};
  for (int i = 0; i < 30; ++i) {
    const std::string layer = "layers." + std::to_string(i) + ".attention.";
    tensors.emplace(layer + "norm_q.weight", of_shape({128}));
  }
  for (const char* layer : {"noise_refiner.0.x", "noise_refiner.1.x"})
    tensors.emplace(layer, of_shape({1}));
  return tensors;
}

TEST(ConfigOfShapes, KnowsThePublishedTransformer) {
  const Json config = config_of_shapes("transformer", published_transformer(), "x.gguf");
  EXPECT_EQ(config.at("dim"), 3840);
  EXPECT_EQ(config.at("n_heads"), 30);
  EXPECT_EQ(config.at("n_layers"), 30);
  EXPECT_EQ(config.at("n_refiner_layers"), 2);
  EXPECT_EQ(config.at("cap_feat_dim"), 2560);
  EXPECT_EQ(config.at("in_channels"), 16);
  EXPECT_EQ(config.at("axes_dims"), Json({32, 48, 48}));
}

TEST(ConfigOfShapes, KnowsThePublishedTextEncoder) {
  TensorMap tensors{{"embed_tokens.weight", of_shape({151936, 2560})},
                    {"layers.0.self_attn.q_norm.weight", of_shape({128})},
                    {"layers.0.self_attn.q_proj.weight", of_shape({4096, 2560})},
                    {"layers.0.self_attn.k_proj.weight", of_shape({1024, 2560})},
                    {"layers.0.mlp.up_proj.weight", of_shape({9728, 2560})}};
  for (int i = 1; i < 36; ++i) tensors.emplace("layers." + std::to_string(i) + ".x", of_shape({1}));
  const Json config = config_of_shapes("text_encoder", tensors, "x.safetensors");
  EXPECT_EQ(config.at("num_hidden_layers"), 36);
  EXPECT_EQ(config.at("num_attention_heads"), 32);
  EXPECT_EQ(config.at("num_key_value_heads"), 8);
  EXPECT_EQ(config.at("intermediate_size"), 9728);
  EXPECT_EQ(config.at("vocab_size"), 151936);
}

TEST(ConfigOfShapes, KnowsThePublishedAutoencoder) {
  TensorMap tensors{{"decoder.conv_in.weight", of_shape({512, 16, 3, 3})}};
  const int widths[] = {512, 512, 256, 128};
  for (int level = 0; level < 4; ++level) {
    for (int i = 0; i < 3; ++i) {
      tensors.emplace("decoder.up_blocks." + std::to_string(level) + ".resnets." +
                          std::to_string(i) + ".conv1.weight",
                      of_shape({widths[level], 512, 3, 3}));
    }
  }
  const Json config = config_of_shapes("vae", tensors, "ae.safetensors");
  EXPECT_EQ(config.at("block_out_channels"), Json({128, 256, 512, 512}));
  EXPECT_EQ(config.at("layers_per_block"), 2);
  EXPECT_EQ(config.at("latent_channels"), 16);
}

TEST(ConfigOfShapes, NamesWhatItCannotKnow) {
  TensorMap tensors = published_transformer();
  tensors.at("layers.0.attention.norm_q.weight").shape = {96};
  Error error = error_of([&] { config_of_shapes("transformer", tensors, "x.gguf"); });
  EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  EXPECT_THAT(error.what(), testing::HasSubstr("heads of 96 features, expected 128"));
  tensors.erase("cap_embedder.1.weight");
  tensors.at("layers.0.attention.norm_q.weight").shape = {128};
  error = error_of([&] { config_of_shapes("transformer", tensors, "x.gguf"); });
  EXPECT_EQ(error.code(), ErrorCode::NotFound);
  EXPECT_THAT(error.what(), testing::HasSubstr("x.gguf: tensor cap_embedder.1.weight is missing"));
}

}  // namespace
}  // namespace zimage
