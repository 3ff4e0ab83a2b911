// Tests of whole model folders: broken ones in a temporary folder, and models/zimage-tiny.
#include "checkpoint/checkpoint.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "checkpoint/model_index.h"
#include "checkpoint/summary.h"
#include "error_of.h"
#include "safetensors_text.h"
#include "temp_folder.h"

namespace zimage {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

const std::filesystem::path kTiny =
    std::filesystem::path(ZIMAGE_SOURCE_DIR) / "models" / "zimage-tiny";

constexpr const char* kModelIndex = R"({
  "_class_name": "ZImagePipeline",
  "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
  "text_encoder": ["transformers", "Qwen3Model"],
  "tokenizer": ["transformers", "Qwen2Tokenizer"],
  "transformer": ["diffusers", "ZImageTransformer2DModel"],
  "vae": ["diffusers", "AutoencoderKL"]
})";

template <typename Function>
void expect_error(ErrorCode code, const std::string& finding, const Function& function) {
  const Error error = error_of(function);
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_THAT(error.what(), HasSubstr(finding));
}

// A folder that has what Checkpoint::open looks at.
class ModelFolder : public testing::Test {
 protected:
  ModelFolder() {
    folder_.write("model_index.json", kModelIndex);
    folder_.write("scheduler/scheduler_config.json", R"({"shift": 3.0})");
    folder_.write("tokenizer/tokenizer.json", "{}");
    for (const char* part : {"text_encoder", "transformer", "vae"}) {
      folder_.write(std::filesystem::path(part) / "config.json", R"({"dim": 8})");
      folder_.write(std::filesystem::path(part) / "model.safetensors",
                    safetensors_text({{"w", "U8", "[2]", "12"}}));
    }
  }

  // Replaces "`old_text`" in model_index.json and opens the folder.
  void open_with(const std::string& old_text, const std::string& new_text) {
    std::string text = kModelIndex;
    text.replace(text.find(old_text), old_text.size(), new_text);
    folder_.write("model_index.json", text);
    Checkpoint::open(folder_.path());
  }

  TempFolder folder_;
};

TEST_F(ModelFolder, OpensPartsWhenAskedFor) {
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  EXPECT_EQ(checkpoint.folder(), folder_.path());
  EXPECT_EQ(checkpoint.part("vae").config().integer("dim"), 8);
  EXPECT_DOUBLE_EQ(checkpoint.scheduler_config()["shift"].get<double>(), 3.0);
  EXPECT_EQ(checkpoint.tokenizer_file(), folder_.path() / "tokenizer" / "tokenizer.json");
}

// The published text encoder is a causal language model: its names begin with "model.".
TEST_F(ModelFolder, GivesNamesWithoutTheWrappersPrefix) {
  folder_.write("text_encoder/model.safetensors",
                safetensors_text({{"model.norm.weight", "U8", "[2]", "12"},
                                  {"lm_head.weight", "U8", "[1]", "3"}}));
  const CheckpointPart part = Checkpoint::open(folder_.path()).part("text_encoder");
  EXPECT_EQ(part.tensor("norm.weight").shape, Shape({2}));
  EXPECT_EQ(part.tensor("lm_head.weight").shape, Shape({1}));
  EXPECT_EQ(part.file_of("norm.weight"),
            (folder_.path() / "text_encoder/model.safetensors").string());
  folder_.write("text_encoder/model.safetensors",
                safetensors_text(
                    {{"model.norm.weight", "U8", "[2]", "12"}, {"norm.weight", "U8", "[1]", "3"}}));
  expect_error(ErrorCode::InvalidFile, "twice, in two spellings",
               [&] { Checkpoint::open(folder_.path()).part("text_encoder"); });
}

TEST_F(ModelFolder, NamesAFolderThatIsNotThere) {
  expect_error(ErrorCode::NotFound, "/absent: no such model folder",
               [&] { Checkpoint::open(folder_.path() / "absent"); });
  expect_error(ErrorCode::InvalidFile, "/model_index.json: a file, expected a model folder",
               [&] { Checkpoint::open(folder_.path() / "model_index.json"); });
}

TEST(Checkpoint, SaysWhatAModelFolderHoldsAndWhatWasFound) {
  const TempFolder folder;
  folder.write("photo.jpg", "");
  folder.write("notes/a.txt", "");
  expect_error(ErrorCode::InvalidFile,
               "not a model folder: expected model_index.json, tokenizer/, text_encoder/, "
               "transformer/, scheduler/, vae/; found notes/, photo.jpg",
               [&] { Checkpoint::open(folder.path()); });
}

TEST_F(ModelFolder, NamesAMissingPart) {
  std::filesystem::remove_all(folder_.path() / "vae");
  expect_error(ErrorCode::NotFound,
               "the folder vae/ is missing, found model_index.json, scheduler/, text_encoder/, "
               "tokenizer/, transformer/",
               [&] { Checkpoint::open(folder_.path()); });
}

TEST_F(ModelFolder, RefusesOtherModels) {
  expect_error(ErrorCode::InvalidFile,
               "model_index.json: not a Z-Image model: \"transformer\" is "
               "\"FluxTransformer2DModel\", expected ZImageTransformer2DModel",
               [&] { open_with("ZImageTransformer2DModel", "FluxTransformer2DModel"); });
  expect_error(ErrorCode::InvalidFile, "expected Qwen3Model or Qwen3ForCausalLM",
               [&] { open_with("Qwen3Model", "T5EncoderModel"); });
  expect_error(ErrorCode::InvalidFile, "\"scheduler\" is \"DDIMScheduler\"",
               [&] { open_with("FlowMatchEulerDiscreteScheduler", "DDIMScheduler"); });
  EXPECT_NO_THROW(open_with("Qwen3Model", "Qwen3ForCausalLM"));
  EXPECT_NO_THROW(open_with("Qwen2Tokenizer", "Qwen2TokenizerFast"));
}

TEST_F(ModelFolder, RefusesAnIndexThatDoesNotNameTheParts) {
  expect_error(ErrorCode::InvalidFile, "model_index.json: \"vae\" is missing",
               [&] { open_with("\"vae\"", "\"other\""); });
  expect_error(ErrorCode::InvalidFile, "\"vae\" is null, expected a list of strings",
               [&] { open_with(R"(["diffusers", "AutoencoderKL"])", "[null, null]"); });
  expect_error(ErrorCode::InvalidFile, "\"vae\" has 1 words, expected a library and a class",
               [&] { open_with(R"(["diffusers", "AutoencoderKL"])", R"(["AutoencoderKL"])"); });
  expect_error(ErrorCode::InvalidFile, "model_index.json: not valid JSON",
               [&] { open_with("{", "["); });
}

TEST_F(ModelFolder, RefusesBrokenConfigurations) {
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  folder_.write("vae/config.json", "{\"dim\": ");
  expect_error(ErrorCode::InvalidFile, "/vae/config.json: not valid JSON",
               [&] { checkpoint.part("vae"); });
  folder_.write("vae/config.json", "[]");
  expect_error(ErrorCode::InvalidFile, "/vae/config.json: expected a JSON object",
               [&] { checkpoint.part("vae"); });
  folder_.write("vae/config.json", std::string(1'000'001, ' '));
  expect_error(ErrorCode::InvalidFile, "1000001 bytes, expected at most 1000000",
               [&] { checkpoint.part("vae"); });
  std::filesystem::remove(folder_.path() / "vae" / "config.json");
  expect_error(ErrorCode::NotFound, "/vae/config.json: No such file",
               [&] { checkpoint.part("vae"); });
  std::filesystem::remove(folder_.path() / "scheduler" / "scheduler_config.json");
  expect_error(ErrorCode::NotFound, "/scheduler_config.json: No such file",
               [&] { checkpoint.scheduler_config(); });
}

TEST_F(ModelFolder, RefusesATokenizerThatIsNotThere) {
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  folder_.write("tokenizer/tokenizer.json", "version https://git-lfs.github.com/spec/v1\n");
  expect_error(ErrorCode::InvalidFile, "/tokenizer.json: a Git LFS pointer",
               [&] { checkpoint.tokenizer_file(); });
  std::filesystem::remove(folder_.path() / "tokenizer" / "tokenizer.json");
  expect_error(ErrorCode::NotFound, "/tokenizer.json: No such file",
               [&] { checkpoint.tokenizer_file(); });
}

// One part's folder with two shards and an index.
class ShardedPart : public testing::Test {
 protected:
  ShardedPart() {
    folder_.write("config.json", "{}");
    folder_.write("1.safetensors", safetensors_text({{"a", "F32", "[2]", "12345678"},
                                                     {"b", "BF16", "[1, 3]", "abcdef"}}));
    folder_.write("2.safetensors", safetensors_text({{"c", "U8", "[5]", "vwxyz"}}));
    write_index(R"("a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors")");
  }
  void write_index(const std::string& map) const {
    folder_.write("model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  }
  CheckpointPart open() const { return CheckpointPart::open(folder_.path()); }

  TempFolder folder_;
};

TEST_F(ShardedPart, ShowsTheTensorsOfAllShards) {
  CheckpointPart opened = open();
  const CheckpointPart part = std::move(opened);
  EXPECT_EQ(part.tensors().size(), 3U);
  EXPECT_EQ(part.parameters(), 2 + 3 + 5);
  EXPECT_EQ(part.bytes(), 8U + 6U + 5U);
  EXPECT_EQ(part.tensor("b").shape, Shape({1, 3}));
  EXPECT_EQ(part.tensor("b").stored.dtype, DType::BF16);
  EXPECT_EQ(std::memcmp(part.tensor("b").stored.data, "abcdef", 6), 0);
  EXPECT_EQ(std::memcmp(part.tensor("c").stored.data, "vwxyz", 5), 0);
  EXPECT_EQ(part.file_of("c"), (folder_.path() / "2.safetensors").string());
  EXPECT_THAT(part.files(), ElementsAre("1.safetensors", "2.safetensors"));
  EXPECT_EQ(part.config().name(), (folder_.path() / "config.json").string());
  expect_error(ErrorCode::NotFound, folder_.path().string() + ": tensor d is missing",
               [&] { part.tensor("d"); });
}

TEST_F(ShardedPart, NamesAMissingShard) {
  std::filesystem::remove(folder_.path() / "2.safetensors");
  expect_error(ErrorCode::NotFound,
               "/2.safetensors is missing: it holds 1 of 3 tensors, the first \"c\"",
               [&] { open(); });
}

TEST_F(ShardedPart, NamesATruncatedShard) {
  const std::string whole = safetensors_text({{"c", "U8", "[5]", "vwxyz"}});
  folder_.write("2.safetensors", whole.substr(0, whole.size() - 2));
  expect_error(ErrorCode::InvalidFile,
               "/2.safetensors: truncated, or its header lies: expected " +
                   std::to_string(whole.size()) + " bytes, found " +
                   std::to_string(whole.size() - 2),
               [&] { open(); });
}

TEST_F(ShardedPart, RefusesAnIndexAndShardsThatDisagree) {
  write_index(R"("a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors",
                 "d": "2.safetensors")");
  expect_error(ErrorCode::InvalidFile, "/2.safetensors: holds no tensor \"d\"", [&] { open(); });
  write_index(R"("a": "1.safetensors", "c": "2.safetensors")");
  expect_error(ErrorCode::InvalidFile, "/1.safetensors: holds tensor \"b\", which",
               [&] { open(); });
  write_index(R"("a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors")");
  expect_error(ErrorCode::InvalidFile, "index.json places in 2.safetensors", [&] { open(); });
}

TEST_F(ShardedPart, RefusesATensorInTwoShards) {
  folder_.write("2.safetensors",
                safetensors_text({{"a", "U8", "[1]", "v"}, {"c", "U8", "[1]", "w"}}));
  expect_error(ErrorCode::InvalidFile,
               "/2.safetensors: holds tensor \"a\", which 1.safetensors holds too",
               [&] { open(); });
}

// The data of this file begin at an odd place: reading them there as numbers is undefined.
TEST(CheckpointPart, LeavesMisalignedNumbersInPlaceAndCopiesScales) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  const float value = 2.5F;
  std::string data(sizeof value, '\0');
  std::memcpy(data.data(), &value, sizeof value);
  std::string header = R"({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                           "e": {"dtype": "F32", "shape": [0], "data_offsets": [4, 4]},
                           "q.weight": {"dtype": "I8", "shape": [1, 1], "data_offsets": [8, 9]},
                           "q.weight_scale": {"dtype": "F32", "shape": [], "data_offsets": [4, 8]}
                          })";
  header.resize((header.size() + 7) / 8 * 8 + 1, ' ');
  folder.write("model.safetensors", safetensors_text(header, data + data + "x"));
  const CheckpointPart part = CheckpointPart::open(folder.path());
  const void* const at = part.tensor("w").stored.data;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(at) % alignof(float), 1U);
  float found = 0;
  std::memcpy(&found, at, sizeof found);
  EXPECT_EQ(found, value);
  EXPECT_FALSE(part.tensor("e").empty());
  const Tensor& scale = part.tensor("q.weight").scale;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(scale.data) % alignof(float), 0U);
  EXPECT_EQ(scale.as<float>()[0], 2.5F);
}

TEST(ZImageTiny, OpensWithItsParameterCounts) {
  const Checkpoint checkpoint = Checkpoint::open(kTiny);
  const CheckpointPart transformer = checkpoint.part("transformer");
  EXPECT_EQ(transformer.tensors().size(), 118U);
  EXPECT_EQ(transformer.parameters(), 15'540'928);
  EXPECT_EQ(transformer.config().integer("n_layers"), 5);
  EXPECT_EQ(transformer.tensor("all_final_layer.2-1.linear.bias").shape, Shape({64}));
  EXPECT_EQ(checkpoint.part("text_encoder").parameters(), 4'984'064);
  EXPECT_EQ(checkpoint.part("vae").parameters(), 5'012'707);
  EXPECT_DOUBLE_EQ(checkpoint.scheduler_config()["shift"].get<double>(), 3.0);
  EXPECT_TRUE(std::filesystem::exists(checkpoint.tokenizer_file()));
}

TEST(Summary, CountsEveryPartOfZImageTiny) {
  const CheckpointSummary summary = summarize(Checkpoint::open(kTiny));
  EXPECT_EQ(summary.class_name, "ZImagePipeline");
  std::vector<std::string> names;
  for (const PartSummary& part : summary.parts) names.push_back(part.name);
  EXPECT_THAT(names, ElementsAre("tokenizer", "text_encoder", "transformer", "scheduler", "vae"));
  const PartSummary& transformer = summary.parts[2];
  EXPECT_EQ(transformer.class_name, "ZImageTransformer2DModel");
  ASSERT_EQ(transformer.files.size(), 3U);
  EXPECT_EQ(transformer.files[0].name, "diffusion_pytorch_model-00001-of-00003.safetensors");
  EXPECT_EQ(transformer.files[0].bytes, 10'606'896U);
  EXPECT_EQ(transformer.tensors, 118);
  EXPECT_EQ(transformer.bytes, 31'081'856U);
  EXPECT_THAT(transformer.parameters_of_dtype, ElementsAre(Pair("bf16", 15'540'928)));
  EXPECT_EQ(summary.parts[0].files[0].name, "tokenizer.json");
  EXPECT_EQ(summary.parts[0].parameters, 0);
  EXPECT_EQ(summary.parts[3].files[0].name, "scheduler_config.json");
  EXPECT_EQ(summary.total.tensors, 340);
  EXPECT_EQ(summary.total.parameters, 25'537'699);
  EXPECT_EQ(summary.total.bytes, 51'075'398U);
}

TEST_F(ModelFolder, SummaryCountsParametersPerDType) {
  folder_.write("vae/model.safetensors", safetensors_text({{"a", "F32", "[2]", "12345678"},
                                                           {"b", "F16", "[3]", "123456"},
                                                           {"c", "F32", "[1]", "1234"}}));
  const CheckpointSummary summary = summarize(Checkpoint::open(folder_.path()));
  EXPECT_THAT(summary.parts[4].parameters_of_dtype, ElementsAre(Pair("f16", 3), Pair("f32", 3)));
  EXPECT_THAT(summary.total.parameters_of_dtype,
              ElementsAre(Pair("f16", 3), Pair("f32", 3), Pair("u8", 4)));
}

}  // namespace
}  // namespace zimage
