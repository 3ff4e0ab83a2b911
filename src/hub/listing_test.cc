#include "hub/listing.h"

#include <gmock/gmock.h>

#include "error_of.h"
#include "temp_folder.h"

namespace zimage::hub {
namespace {

using testing::HasSubstr;

const std::string kSha1(40, 'a');
const std::string kSha256(64, 'b');

TEST(ParseTreeFile, ReadsSizesAndSums) {
  const Listing listing =
      parse_tree_file(R"({"format_version": 1, "files": {
      "vae/big.safetensors": {"size": 130, "blob_id": ")" +
                          kSha1 + R"(", "lfs_sha256": ")" + kSha256 + R"(", "lfs_size": 5000000000,
                              "xet_hash": "x"},
      "config.json": {"size": 7, "blob_id": ")" +
                          kSha1 + R"("}}})",
                      "t.json");
  ASSERT_EQ(listing.size(), 2U);
  EXPECT_EQ(listing[0].path, "config.json");
  EXPECT_EQ(listing[0].bytes, 7U);
  EXPECT_EQ(listing[0].git_sha1, kSha1);
  EXPECT_EQ(listing[0].sha256, "");
  EXPECT_EQ(listing[1].bytes, 5'000'000'000U);
  EXPECT_EQ(listing[1].sha256, kSha256);
  EXPECT_EQ(listing[1].git_sha1, "");
}

std::string one_file(const std::string& path, const std::string& entry) {
  return R"({"format_version": 1, "files": {")" + path + R"(": )" + entry + "}}";
}

std::string refusal(const std::string& text) {
  return error_of([&] { parse_tree_file(text, "t.json"); }).what();
}

TEST(ParseTreeFile, RefusesPathsThatLeaveTheFolder) {
  const std::string good = R"({"size": 1, "blob_id": ")" + kSha1 + R"("})";
  for (const char* path : {"../x", "/etc/passwd", "a/../../b", "a//b", "./a", "a/", "",
                           R"(a\\..\\b)", R"(a\u0000b)", R"(a\nb)"}) {
    EXPECT_THAT(refusal(one_file(path, good)), HasSubstr("a path that stays in the folder"))
        << path;
  }
}

TEST(ParseTreeFile, RefusesWhatCannotBeTrusted) {
  const std::string good = R"({"size": 1, "blob_id": ")" + kSha1 + R"("})";
  struct Case {
    std::string text;
    const char* message;
  };
  const std::vector<Case> cases = {
      {one_file("a", R"({"size": -1, "blob_id": "x"})"), "a size"},
      {one_file("a", R"({"size": 18446744073709551615, "blob_id": "x"})"), "too large"},
      {one_file("a", R"({"size": 1, "blob_id": "../../x"})"), "40 hexadecimal digits"},
      {one_file("a", R"({"size": 1, "lfs_sha256": "B"})"), "64 hexadecimal digits"},
      {R"({"format_version": 1, "files": {"a": )" + good + R"(, "a": )" + good + "}}",
       "occurs twice"},
      {R"({"format_version": 1, "files": []})", "expected a JSON object"},
      {"[]", "expected a JSON object"}};
  for (const Case& wrong : cases) EXPECT_THAT(refusal(wrong.text), HasSubstr(wrong.message));
  EXPECT_EQ(error_of([] { parse_tree_file(R"({"format_version": 2, "files": {}})", "t"); }).code(),
            ErrorCode::Unsupported);
}

TEST(ReadTreeFile, GivesNothingForAUselessFile) {
  const TempFolder folder;
  EXPECT_FALSE(read_tree_file(folder.path() / "none.json"));
  EXPECT_FALSE(read_tree_file(folder.write("bad.json", "{")));
  EXPECT_FALSE(read_tree_file(folder.write("new.json", R"({"format_version": 9})")));
  EXPECT_TRUE(read_tree_file(folder.write("t.json", R"({"format_version": 1, "files": {}})")));
}

TEST(IsNeeded, NamesTheFilesThatTheEngineReads) {
  for (const char* path : {"model_index.json", "tokenizer/tokenizer.json", "vae/config.json",
                           "scheduler/scheduler_config.json",
                           "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
                           "text_encoder/model.safetensors.index.json"}) {
    EXPECT_TRUE(is_needed(path)) << path;
  }
  for (const char* path : {"README.md", "assets/a.png", "tokenizer/vocab.json", "config.json",
                           "text_encoder/generation_config.json", "vae/old/model.safetensors",
                           "model.safetensors", "vae/model.bin"}) {
    EXPECT_FALSE(is_needed(path)) << path;
  }
}

}  // namespace
}  // namespace zimage::hub
