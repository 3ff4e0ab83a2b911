// Planned files are what their readers expect, and rules keep what must stay.
#include "convert/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/gguf.h"
#include "checkpoint/safetensors.h"
#include "convert/pending_output.h"
#include "convert/plan_gguf.h"
#include "convert/plan_safetensors.h"
#include "convert/tensor_rules.h"
#include "error_of.h"
#include "temp_folder.h"

namespace zimage {
namespace {

using testing::HasSubstr;

template <typename Function>
std::string message_of(const Function& function) {
  return error_of(function).what();
}

PlannedTensor planned(std::string name, const Shape& shape, const Storage& storage) {
  return {.name = std::move(name), .shape = shape, .storage = storage};
}

std::vector<std::byte> image_of(const PlannedFile& file) {
  std::vector<std::byte> bytes(file.size);
  std::memcpy(bytes.data(), file.header.data(), file.header.size());
  return bytes;
}

std::string type_of(std::string_view part, std::string_view name, const Shape& shape,
                    const FileFormat& format) {
  std::byte none{};
  return std::string(
      storage_of(part, name, HostTensor::plain({&none, DType::F32, shape}), format).name());
}

TEST(PlanSafetensors, IsReadBack) {
  const PlannedFile file = plan_safetensors(
      "x.safetensors",
      {planned("b", {3}, {.dtype = DType::U8}), planned("z", {2, 5}, {.dtype = DType::BF16}),
       planned("f", {3, 1}, {.dtype = DType::U8, .type = QuantType::Fp8E4M3}),
       planned("s", {}, {.dtype = DType::F32})},
      {{"format", "pt"}});
  const StoredFile read = parse_safetensors(image_of(file), "x");
  EXPECT_EQ(read.metadata, (Json{{"format", "pt"}}));
  std::vector<std::string> names;
  for (const StoredTensor& tensor : read.tensors) {
    names.push_back(tensor.name);
    const std::uint64_t element = size_of(tensor.dtype);
    EXPECT_EQ(tensor.begin % element, 0U) << tensor.name;
  }
  EXPECT_THAT(names, testing::ElementsAre("s", "z", "b", "f"));
  EXPECT_EQ(read.tensors[3].type, QuantType::Fp8E4M3);
}

TEST(PlanShards, CutsWhereTheLimitIs) {
  std::vector<PlannedTensor> tensors;
  for (const char* name : {"a", "b", "c"}) tensors.push_back(planned(name, {10}, {}));
  EXPECT_TRUE(plan_shards("p/m", tensors, 60).index.empty());
  const PlannedShards shards = plan_shards("p/m", tensors, 40);
  ASSERT_EQ(shards.files.size(), 2U);
  EXPECT_EQ(shards.files[1].path, "p/m-00002-of-00002.safetensors");
  const Json index = Json::parse(shards.index);
  EXPECT_EQ(index["metadata"]["total_size"], 60);
  EXPECT_EQ(index["weight_map"]["c"], "m-00002-of-00002.safetensors");
  EXPECT_EQ(plan_shards("p/m", tensors, 1).files.size(), 3U);
}

TEST(PlanGguf, IsReadBack) {
  GgufFacts facts;
  facts.add("general.architecture", "lumina2");
  facts.add("a.number", std::uint32_t{7});
  facts.add("a.float", 0.5F);
  facts.add("a.texts", std::vector<std::string>{"x", ""});
  facts.add("a.numbers", std::vector<std::int32_t>{-1, 2});
  facts.add_flag("a.flag", 1);
  const PlannedFile file =
      plan_gguf("x.gguf",
                {planned("w", {3, 256}, {.dtype = DType::U8, .type = QuantType::Q6K}),
                 planned("n", {5}, {.dtype = DType::F32}),
                 planned("k", {2, 3, 1, 1}, {.dtype = DType::BF16})},
                facts);
  const StoredFile read = parse_gguf(image_of(file), "x");
  EXPECT_EQ(read.metadata["a.texts"], (Json{"x", ""}));
  EXPECT_EQ(read.metadata["a.numbers"], (Json{-1, 2}));
  EXPECT_EQ(read.metadata["a.flag"], true);
  ASSERT_EQ(read.tensors.size(), 3U);
  EXPECT_EQ(read.tensors[0].shape, (Shape{3, 256}));
  EXPECT_EQ(read.tensors[0].type, QuantType::Q6K);
  EXPECT_EQ(read.tensors[2].shape, (Shape{2, 3, 1, 1}));
  EXPECT_EQ(read.tensors[1].begin % 32, 0U);
  EXPECT_THAT(message_of([] {
                plan_gguf("x.gguf", {planned("u", {5}, {.dtype = DType::U8})}, GgufFacts());
              }),
              HasSubstr("\"u\": u8 numbers"));
}

TEST(StorageOf, KeepsWhatMustStay) {
  const FileFormat q4{.encoding = TargetEncoding::Q4K, .container = Container::Gguf};
  const FileFormat fp8{.encoding = TargetEncoding::Fp8, .container = Container::Safetensors};
  const auto transformer = [](std::string_view name, const Shape& shape, const FileFormat& format) {
    return type_of("transformer", name, shape, format);
  };
  EXPECT_EQ(transformer("layers.0.attention.to_q.weight", {512, 512}, q4), "q4_k");
  EXPECT_EQ(transformer("layers.0.adaLN_modulation.0.weight", {512, 256}, q4), "q4_k");
  EXPECT_EQ(transformer("layers.0.attention.to_q.weight", {512, 384}, q4), "q8_0");
  EXPECT_EQ(transformer("layers.0.attention.to_q.weight", {512, 40}, q4), "bf16");
  EXPECT_EQ(transformer("noise_refiner.0.attention.to_q.weight", {512, 512}, q4), "bf16");
  EXPECT_EQ(transformer("layers.0.attention_norm1.weight", {512}, q4), "f32");
  EXPECT_EQ(transformer("x_pad_token", {1, 512}, q4), "f32");
  EXPECT_EQ(transformer("noise_refiner.0.attention.to_q.weight", {512, 512}, fp8), "fp8_e4m3");
  EXPECT_EQ(transformer("layers.0.adaLN_modulation.0.weight", {512, 256}, fp8), "bf16");
  EXPECT_EQ(transformer("cap_embedder.1.weight", {512, 256}, fp8), "bf16");
  EXPECT_EQ(transformer("x_pad_token", {1, 512}, fp8), "bf16");
  EXPECT_EQ(type_of("text_encoder", "embed_tokens.weight", {512, 256}, q4), "bf16");
  EXPECT_EQ(type_of("text_encoder", "layers.3.mlp.up_proj.weight", {512, 256}, q4), "q4_k");
  EXPECT_EQ(type_of("vae", "decoder.conv_in.weight", {8, 4, 3, 3}, fp8), "bf16");
}

TEST(PendingOutput, IsGoneUnlessPublished) {
  const TempFolder folder;
  const std::filesystem::path target = folder.path() / "x.gguf";
  const auto write = [&target](const char* text) {
    const std::string bytes(text);
    PendingOutput output(target, PendingOutput::Kind::File, true);
    NewFile file(output.place("x.gguf"));
    file.write(std::as_bytes(std::span(bytes)), 2);
    file.finish(6);
    return output.publish();
  };
  {
    PendingOutput output(target, PendingOutput::Kind::File, false);
    NewFile file(output.place("x.gguf"));
    EXPECT_THAT(message_of([&] { output.expect_room(std::uint64_t{1} << 60); }),
                HasSubstr("needs 1073741824.00 GiB"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  write("abc");
  write("abd");
  EXPECT_EQ(read_file(target, 10), std::string("\0\0abd\0", 6));
  EXPECT_THAT(message_of([&] { PendingOutput(target, PendingOutput::Kind::File, false); }),
              HasSubstr("exists; --force replaces it"));
  EXPECT_THAT(message_of([&] { PendingOutput(target, PendingOutput::Kind::Folder, true); }),
              HasSubstr("a whole model is written as a folder"));
}

}  // namespace
}  // namespace zimage
