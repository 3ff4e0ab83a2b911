#include "download/remote_listing.h"

#include <gmock/gmock.h>

#include "error_of.h"

namespace zimage::download {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const std::string kSum(64, 'a');
const std::string kOid(40, 'b');

std::string entry(const std::string& path, const std::string& more = "") {
  return R"({"type": "file", "path": ")" + path + R"(", "size": 5, "oid": ")" + kOid + "\"" + more +
         "}";
}

TEST(ParseTreePage, TakesSumsOfBothKinds) {
  const auto files = parse_tree_page(
      "[" + entry("a/b") + R"(, {"type": "directory", "path": "a", "size": 0, "oid": "x"}, )" +
          entry("c", R"(, "xetHash": ")" + kSum + R"(", "lfs": {"oid": ")" + kSum +
                         R"(", "size": 70, "pointerSize": 134})") +
          "]",
      "page");
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].listed.path, "a/b");
  EXPECT_EQ(files[0].listed.bytes, 5U);
  EXPECT_EQ(files[0].listed.git_sha1, kOid);
  EXPECT_THAT(files[0].listed.sha256, IsEmpty());
  EXPECT_EQ(files[1].listed.bytes, 70U);
  EXPECT_EQ(files[1].listed.sha256, kSum);
  EXPECT_THAT(files[1].listed.git_sha1, IsEmpty());
  EXPECT_EQ(files[1].blob_id, kOid);
  EXPECT_EQ(files[1].xet_hash, kSum);
}

TEST(ParseTreePage, RefusesWhatCouldLeaveTheFolder) {
  for (const char* path : {"../a", "/a", "a/../../b", "a//b", "", ".", "a/.", "a\\\\b", "a\\u0000b",
                           "a.incomplete", ".cache/huggingface/x"}) {
    EXPECT_EQ(error_of([&] { parse_tree_page("[" + entry(path) + "]", "page"); }).code(),
              ErrorCode::InvalidFile)
        << path;
  }
}

TEST(ParseTreePage, RefusesOtherSumsAndSizes) {
  for (const std::string& text :
       {std::string("{}"), std::string("[1]"), std::string("[{}]"),
        R"([{"type": "file", "path": "a", "size": -1, "oid": ")" + kOid + "\"}]",
        std::string(R"([{"type": "file", "path": "a", "size": 1, "oid": "../../b"}])"),
        "[" + entry("a", R"(, "lfs": {"oid": "short", "size": 1})") + "]"}) {
    EXPECT_EQ(error_of([&] { parse_tree_page(text, "page"); }).code(), ErrorCode::InvalidFile)
        << text;
  }
}

TEST(ParseFileList, TakesFilesAndNoFolders) {
  std::string upper = kSum;
  upper[0] = 'A';
  const auto files = parse_file_list(
      R"({"Code": 200, "Data": {"Files": [{"Type": "tree", "Path": "a", "Size": 0},
          {"Type": "blob", "Path": "a/b", "Size": 7, "Sha256": ")" +
          upper + R"("}, {"Type": "blob", "Path": "c", "Size": 8, "Sha256": ""}]}})",
      "list");
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].listed.path, "a/b");
  EXPECT_EQ(files[0].listed.sha256, kSum);
  EXPECT_THAT(files[1].listed.sha256, IsEmpty());
  EXPECT_THAT(parse_file_list(R"({"Data": {"Files": null}})", "list"), IsEmpty());
}

TEST(ParseFileList, SaysWhenTheHubCutsItOff) {
  std::string list;
  for (int i = 0; i < 3000; ++i) {
    list +=
        (i > 0 ? "," : "") + std::string(R"({"Path": "f)") + std::to_string(i) + R"(", "Size": 1})";
  }
  const Error error =
      error_of([&] { parse_file_list(R"({"Data": {"Files": [)" + list + "]}}", "list"); });
  EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  EXPECT_THAT(error.what(), HasSubstr("3000 entries"));
}

TEST(ParseCommit, IsFortyDigits) {
  EXPECT_EQ(parse_commit(R"({"sha": ")" + kOid + R"(", "id": "a/b"})", "info"), kOid);
  EXPECT_EQ(error_of([] { parse_commit(R"({"sha": "../../x"})", "info"); }).code(),
            ErrorCode::InvalidFile);
}

TEST(NextPage, ReadsTheLinkHeader) {
  EXPECT_EQ(next_page(R"(<https://a/b?cursor=1%3D>; rel="next")"), "https://a/b?cursor=1%3D");
  EXPECT_EQ(next_page(R"(<https://a/0>; rel="prev", </b>; rel="next")"), "/b");
  for (const char* none : {"", "<", "<a", R"(<a>; rel="last")", R"(rel="next")"}) {
    EXPECT_THAT(next_page(none), IsEmpty()) << none;
  }
}

TEST(CheckPaths, RefusesTwoFilesOfOneName) {
  const auto files_of = [](std::initializer_list<const char*> paths) {
    std::vector<RemoteFile> files(paths.size());
    std::size_t i = 0;
    for (const char* path : paths) files[i++].listed.path = path;
    return files;
  };
  auto good = files_of({"b/c", "a", "b.d"});
  check_paths(good, "list");
  EXPECT_EQ(good.front().listed.path, "a");
  for (auto bad : {files_of({"a", "b", "a"}), files_of({"a/b/c", "a/b"})}) {
    EXPECT_THAT(error_of([&] { check_paths(bad, "list"); }).what(), HasSubstr("is there twice"));
  }
}

TEST(FileRequest, EncodesWhatAnAddressCannotHold) {
  RemoteFile file;
  file.listed.path = "a b/c+%?.safetensors";
  const RemoteModel model{.revision = "v1/x", .commit = kOid, .files = {}};
  const hub::ModelName name{.owner = "o", .name = "n", .revision = {}};
  const HttpRequest hf = file_request(
      {.hub = hub::HubKind::HuggingFace, .url = "http://h", .token = "t", .token_source = ""}, name,
      model, file);
  EXPECT_EQ(hf.url, "http://h/o/n/resolve/" + kOid + "/a%20b/c%2B%25%3F.safetensors");
  EXPECT_EQ(hf.token, "t");
  EXPECT_THAT(hf.cookie, IsEmpty());
  const HttpRequest ms = file_request(
      {.hub = hub::HubKind::ModelScope, .url = "http://h", .token = "t", .token_source = ""}, name,
      model, file);
  EXPECT_EQ(
      ms.url,
      "http://h/api/v1/models/o/n/repo?Revision=v1%2Fx&FilePath=a%20b%2Fc%2B%25%3F.safetensors");
  EXPECT_EQ(ms.cookie, "m_session_id=t");
}

}  // namespace
}  // namespace zimage::download
