// Spellings of tensor names.
#include "checkpoint/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace zimage {
namespace {

TEST(WithoutPrefix, RemovesWhatWrappersPutBefore) {
  EXPECT_EQ(without_prefix("model.layers.0.mlp.up_proj.weight"), "layers.0.mlp.up_proj.weight");
  EXPECT_EQ(without_prefix("layers.0.mlp.up_proj.weight"), "layers.0.mlp.up_proj.weight");
  EXPECT_EQ(without_prefix("model.diffusion_model.x_pad_token"), "x_pad_token");
  EXPECT_EQ(without_prefix("text_encoders.qwen3_4b.transformer.model.norm.weight"), "norm.weight");
  EXPECT_EQ(without_prefix("models.x"), "models.x");
}

std::vector<std::string> names_of(const std::string& stored, const Shape& shape = {6, 2}) {
  // Four levels of the autoencoder, as in the published model.
  const std::map<std::string, HostTensor, std::less<>> all{
      {"decoder.up.3.block.0.conv1.weight", {}}};
  std::array<std::uint16_t, 64> numbers{};
  std::vector<std::string> names;
  for (const auto& [name, tensor] :
       NameTranslation(all)(stored, HostTensor::plain({numbers.data(), DType::BF16, shape})))
    names.push_back(name + " " + to_string(tensor.shape));
  return names;
}

TEST(NameTranslation, KnowsEverySpelling) {
  const std::vector<std::pair<const char*, const char*>> pairs = {
      {"layers.3.feed_forward.w1.weight", "layers.3.feed_forward.w1.weight"},
      {"x_embedder.bias", "all_x_embedder.2-1.bias"},
      {"final_layer.adaLN_modulation.1.weight", "all_final_layer.2-1.adaLN_modulation.1.weight"},
      {"noise_refiner.0.attention.out.weight", "noise_refiner.0.attention.to_out.0.weight"},
      {"layers.9.attention.k_norm.weight", "layers.9.attention.norm_k.weight"},
      {"token_embd.weight", "embed_tokens.weight"},
      {"output_norm.weight", "norm.weight"},
      {"blk.12.attn_output.weight", "layers.12.self_attn.o_proj.weight"},
      {"blk.1.attn_q_norm.weight", "layers.1.self_attn.q_norm.weight"},
      {"blk.1.ffn_norm.weight", "layers.1.post_attention_layernorm.weight"},
      {"decoder.up.3.block.0.nin_shortcut.weight",
       "decoder.up_blocks.0.resnets.0.conv_shortcut.weight"},
      {"decoder.up.1.upsample.conv.bias", "decoder.up_blocks.2.upsamplers.0.conv.bias"},
      {"decoder.mid.block_2.norm1.weight", "decoder.mid_block.resnets.1.norm1.weight"},
      {"decoder.mid.attn_1.proj_out.bias", "decoder.mid_block.attentions.0.to_out.0.bias"},
      {"decoder.norm_out.bias", "decoder.conv_norm_out.bias"},
      {"encoder.down.1.block.0.nin_shortcut.weight",
       "encoder.down_blocks.1.resnets.0.conv_shortcut.weight"},
      {"encoder.down.2.downsample.conv.bias", "encoder.down_blocks.2.downsamplers.0.conv.bias"},
      {"encoder.mid.block_1.norm1.weight", "encoder.mid_block.resnets.0.norm1.weight"},
      {"encoder.norm_out.bias", "encoder.conv_norm_out.bias"},
      {"blk.x.attn_q.weight", "blk.x.attn_q.weight"}};
  for (const auto& [stored, expected] : pairs) {
    EXPECT_THAT(names_of(stored), testing::ElementsAre(std::string(expected) + " [6, 2]"));
  }
}

TEST(NameTranslation, CutsFusedProjectionsAndAdaptsShapes) {
  EXPECT_THAT(names_of("layers.0.attention.qkv.weight"),
              testing::ElementsAre("layers.0.attention.to_q.weight [2, 2]",
                                   "layers.0.attention.to_k.weight [2, 2]",
                                   "layers.0.attention.to_v.weight [2, 2]"));
  EXPECT_THAT(names_of("layers.0.attention.qkv.weight", {7, 2}),
              testing::ElementsAre("layers.0.attention.qkv.weight [7, 2]"));
  EXPECT_THAT(names_of("decoder.mid.attn_1.q.weight", {4, 4, 1, 1}),
              testing::ElementsAre("decoder.mid_block.attentions.0.to_q.weight [4, 4]"));
  EXPECT_THAT(names_of("encoder.mid.attn_1.q.weight", {4, 4, 1, 1}),
              testing::ElementsAre("encoder.mid_block.attentions.0.to_q.weight [4, 4]"));
  EXPECT_THAT(names_of("x_pad_token", {8}), testing::ElementsAre("x_pad_token [1, 8]"));
  EXPECT_THAT(names_of("norm_final.weight"), testing::IsEmpty());
}

TEST(NativeName, IsTranslatedBack) {
  for (const char* name :
       {"x_embedder.bias", "final_layer.linear.weight", "layers.3.attention.out.weight",
        "context_refiner.0.attention.q_norm.weight", "layers.3.feed_forward.w1.weight"}) {
    const std::vector<std::string> canonical = names_of(name);
    const std::string bare = canonical.at(0).substr(0, canonical[0].find(' '));
    EXPECT_EQ(native_name(bare), name);
  }
}

TEST(LlamaName, IsTranslatedBack) {
  EXPECT_EQ(llama_name("embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(llama_name("norm.weight"), "output_norm.weight");
  EXPECT_EQ(llama_name("layers.35.self_attn.q_norm.weight"), "blk.35.attn_q_norm.weight");
  EXPECT_EQ(llama_name("layers.0.mlp.down_proj.weight"), "blk.0.ffn_down.weight");
  EXPECT_EQ(llama_name("layers.x.mlp.down_proj.weight"), std::nullopt);
  EXPECT_EQ(llama_name("rotary.inv_freq"), std::nullopt);
}

}  // namespace
}  // namespace zimage
