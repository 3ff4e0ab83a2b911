// Tests of choosing the files of a part's folder.
#include "checkpoint/weight_files.h"

#include <gmock/gmock.h>

#include <string>

#include "error_of.h"
#include "temp_folder.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kIndexName = "model.safetensors.index.json";

WeightFiles find(const TempFolder& folder) {
  return find_weight_files(folder.path());
}

void expect_refused(const TempFolder& folder, ErrorCode code, const std::string& finding) {
  const Error error = error_of([&] { find(folder); });
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_THAT(error.what(), HasSubstr(finding));
  EXPECT_THAT(error.what(), HasSubstr(folder.path().string()));
}

TEST(ParseWeightIndex, MapsTensorsToFiles) {
  const WeightMap map = parse_weight_index(
      R"({"metadata": {"total_size": 8}, "weight_map": {"b": "2.safetensors", "a": "1.safetensors"}})",
      "i");
  EXPECT_THAT(
      map, ElementsAre(testing::Pair("a", "1.safetensors"), testing::Pair("b", "2.safetensors")));
}

TEST(ParseWeightIndex, RefusesFileNamesThatCouldLeaveTheFolder) {
  for (const std::string name :
       {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "..", "", ".safetensors",
        ".hidden.safetensors", "a\\\\b.safetensors", "x.bin", "x.safetensors.incomplete",
        "x\\u0000.safetensors", "\\u001b[2J.safetensors", "x.safetensors/"}) {
    const Error error =
        error_of([&] { parse_weight_index(R"({"weight_map": {"a": ")" + name + "\"}}", "i"); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile) << name;
    EXPECT_THAT(error.what(), HasSubstr("i: \"weight_map\": \"a\" is in ")) << name;
  }
}

TEST(ParseWeightIndex, RefusesWhatIsNoIndex) {
  const auto message_of = [](const char* text) {
    const Error error = error_of([&] { parse_weight_index(text, "i"); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
    return std::string(error.what());
  };
  EXPECT_THAT(message_of("["), HasSubstr("i: not valid JSON"));
  EXPECT_THAT(message_of("[]"), HasSubstr("i: expected a JSON object"));
  EXPECT_THAT(message_of("{}"), HasSubstr("i: \"weight_map\" is missing"));
  EXPECT_THAT(message_of(R"({"weight_map": []})"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(message_of(R"({"weight_map": {}})"), HasSubstr("names no tensor"));
  EXPECT_THAT(message_of(R"({"weight_map": {"a": 1}})"),
              HasSubstr("\"a\" is number, expected a file name"));
  EXPECT_THAT(message_of(R"({"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}})"),
              HasSubstr("\"a\" occurs twice"));
}

TEST(FindWeightFiles, TakesTheFilesOfTheIndex) {
  const TempFolder folder;
  folder.write(kIndexName, R"({"weight_map": {"a": "2.safetensors", "b": "1.safetensors",
                                              "c": "2.safetensors"}})");
  folder.write("1.safetensors", "");
  folder.write("2.safetensors", "");
  folder.write("model.fp16.safetensors", "");  // not named: not taken
  const WeightFiles files = find(folder);
  EXPECT_THAT(files.names, ElementsAre("1.safetensors", "2.safetensors"));
  EXPECT_EQ(files.index, folder.path() / kIndexName);
  EXPECT_EQ(files.map.size(), 3U);
}

TEST(FindWeightFiles, TakesALoneFileOfAnyName) {
  for (const char* name : {"model.safetensors", "diffusion_pytorch_model.fp16.safetensors"}) {
    const TempFolder folder;
    folder.write(name, "");
    folder.write("config.json", "{}");
    folder.write("other.safetensors.incomplete", "");
    folder.write("pytorch_model.bin", "");
    const WeightFiles files = find(folder);
    EXPECT_THAT(files.names, ElementsAre(name));
    EXPECT_TRUE(files.index.empty());
  }
}

TEST(FindWeightFiles, FollowsLinksAsAHubsCacheHasThem) {
  const TempFolder folder;
  folder.write("blobs/0123", "");
  std::filesystem::create_directory(folder.path() / "snapshot");
  const std::filesystem::path part = folder.path() / "snapshot";
  std::filesystem::create_symlink("../blobs/0123", part / "model.safetensors");
  EXPECT_THAT(find_weight_files(part).names, ElementsAre("model.safetensors"));
}

TEST(FindWeightFiles, NamesMissingShardsAndWhatTheyHold) {
  const TempFolder folder;
  folder.write(kIndexName, R"({"weight_map": {"a": "1.safetensors", "b": "2.safetensors",
                                              "c": "3.safetensors", "d": "2.safetensors"}})");
  folder.write("1.safetensors", "");
  folder.write("3.safetensors.incomplete", "");
  std::filesystem::create_symlink("nowhere", folder.path() / "2.safetensors");
  expect_refused(folder, ErrorCode::NotFound,
                 "/2.safetensors is missing: it holds 2 of 4 tensors, the first \"b\"");
  expect_refused(folder, ErrorCode::NotFound, "/3.safetensors is missing: it holds 1 of 4");
  EXPECT_THAT(error_of([&] { find(folder); }).what(), Not(HasSubstr("1.safetensors")));
}

TEST(FindWeightFiles, CutsALongListOfMissingShards) {
  const TempFolder folder;
  std::string map;
  for (char c = 'a'; c <= 'k'; ++c) {
    map += std::string(c > 'a' ? ", \"" : "\"") + c + "\": \"" + c + ".safetensors\"";
  }
  folder.write(kIndexName, "{\"weight_map\": {" + map + "}}");
  expect_refused(folder, ErrorCode::NotFound,
                 "/h.safetensors is missing: it holds 1 of 11 tensors, the first \"h\"; 3 more are "
                 "missing");
}

TEST(FindWeightFiles, RefusesPicklesByName) {
  for (const char* name : {"diffusion_pytorch_model.bin", "a.ckpt", "a.pt", "a.pth", "a.pkl"}) {
    const TempFolder folder;
    folder.write(name, "x");
    expect_refused(folder, ErrorCode::InvalidFile, std::string(name) + " is a pickle");
    expect_refused(folder, ErrorCode::InvalidFile, "the model's safetensors edition");
    // Beside the right file it is of no matter.
    folder.write("m.safetensors", "x");
    EXPECT_THAT(find(folder).names, ElementsAre("m.safetensors"));
  }
}

TEST(FindWeightFiles, ListsSeveralFilesWithoutAnIndex) {
  const TempFolder folder;
  folder.write("b.safetensors", "");
  folder.write("a.safetensors", "");
  expect_refused(folder, ErrorCode::InvalidFile,
                 "several safetensors files and no index that names them: a.safetensors, "
                 "b.safetensors");
  for (char c = 'c'; c <= 'k'; ++c) folder.write(std::string(1, c) + ".safetensors", "");
  expect_refused(folder, ErrorCode::InvalidFile, "h.safetensors and 3 more");
}

TEST(FindWeightFiles, KnowsAShardWithoutItsIndex) {
  const TempFolder folder;
  folder.write("model-00002-of-00003.safetensors", "");
  expect_refused(folder, ErrorCode::NotFound, "model-00002-of-00003.safetensors is one of 3 files");
}

TEST(FindWeightFiles, TakesAShardThatIsTheOnlyOne) {
  const TempFolder folder;
  folder.write("model-00001-of-00001.safetensors", "");
  EXPECT_EQ(find(folder).names.size(), 1U);
}

TEST(FindWeightFiles, RefusesTwoAnswers) {
  const TempFolder folder;
  folder.write(kIndexName, R"({"weight_map": {"a": "1.safetensors"}})");
  folder.write("1.safetensors", "");
  folder.write("model.safetensors", "");
  expect_refused(folder, ErrorCode::InvalidFile,
                 "holds both model.safetensors and model.safetensors.index.json");
  folder.write("other.safetensors.index.json", "{}");
  expect_refused(folder, ErrorCode::InvalidFile, "several indices");
}

TEST(FindWeightFiles, AnIndexMayNameTheOneFileItBelongsTo) {
  const TempFolder folder;
  folder.write(kIndexName, R"({"weight_map": {"a": "model.safetensors"}})");
  folder.write("model.safetensors", "");
  EXPECT_THAT(find(folder).names, ElementsAre("model.safetensors"));
}

TEST(FindWeightFiles, SaysWhatAFolderWithoutWeightsHolds) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("model.safetensors.incomplete", "");
  folder.write("tf_model.h5", "");
  expect_refused(folder, ErrorCode::NotFound,
                 "no weights, expected a .safetensors or .gguf file; found config.json, "
                 "model.safetensors.incomplete, tf_model.h5");
  EXPECT_EQ(error_of([&] { find_weight_files(folder.path() / "absent"); }).code(),
            ErrorCode::NotFound);
}

TEST(ListFolder, MarksFoldersAndCutsLongLists) {
  const TempFolder folder;
  EXPECT_EQ(list_folder(folder.path()), "nothing");
  folder.write("b/x", "");
  folder.write("a\x1b", "");
  EXPECT_EQ(list_folder(folder.path()), "a\\x1b, b/");
  for (char c = 'c'; c <= 'j'; ++c) folder.write(std::string(1, c), "");
  EXPECT_EQ(list_folder(folder.path()), "a\\x1b, b/, c, d, e, f, g, h and 2 more");
}

}  // namespace
}  // namespace zimage
