// Caches of both hubs, written file by file: what is listed of them.
#include "hub/catalog.h"

#include <gmock/gmock.h>

#include "hub/folder.h"
#include "hub/records.h"
#include "temp_folder.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kOld(40, '1');
const std::string kNew(40, '2');
const std::string kSha256(64, 'e');

class CatalogTest : public testing::Test {
 protected:
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  // "OWNER/NAME REVISION REFERENCES..." of each entry.
  std::vector<std::string> list(const std::vector<CachePlace>& places) {
    std::vector<std::string> lines;
    catalog_ = list_catalog(places);
    for (const CatalogEntry& entry : catalog_.entries) {
      std::string line = entry.id + " " + entry.snapshot.revision;
      for (const std::string& reference : entry.references) line += " " + reference;
      lines.push_back(std::move(line));
    }
    return lines;
  }

  TempFolder folder_;
  Catalog catalog_;
};

TEST_F(CatalogTest, ListsHuggingFacesSnapshotsWithTheirReferences) {
  for (const std::string& commit : {kOld, kNew}) {
    folder_.write("hf/models--Own.er--Na.me/snapshots/" + commit + "/config.json", "{}");
  }
  folder_.write("hf/models--Own.er--Na.me/refs/main", kNew);
  folder_.write("hf/models--Own.er--Na.me/refs/refs/pr/1", kNew + "\n");
  folder_.write("hf/models--gpt2/snapshots/" + kOld + "/config.json", "{}");
  folder_.write("hf/models--a--b/blobs/x.incomplete", "");
  folder_.write("hf/datasets--a--b/snapshots/" + kOld + "/x", "");
  folder_.write("hf/models--..--b/snapshots/" + kOld + "/x", "");
  folder_.write("hf/models--a--c/snapshots/no_commit/x", "");
  EXPECT_THAT(list({{HubKind::HuggingFace, path("hf"), "HF_HUB_CACHE"}}),
              ElementsAre("Own.er/Na.me " + kOld, "Own.er/Na.me " + kNew + " main refs/pr/1",
                          "gpt2 " + kOld));
  EXPECT_EQ(catalog_.entries[0].source, "HF_HUB_CACHE");
  ASSERT_EQ(catalog_.refusals.size(), 2U);
  EXPECT_EQ(catalog_.refusals[0].path, path("hf/models--a--b"));
  EXPECT_THAT(catalog_.refusals[0].reason, HasSubstr("holds no snapshot"));
}

TEST_F(CatalogTest, ListsEveryLayoutOfModelScopeOnce) {
  folder_.write("ms/models/Own.er--Na.me/snapshots/master/model_index.json", "{}");
  folder_.write("ms/models/O/Na___me/.mv", "Revision:v1,CreatedAt:1");
  folder_.write("ms/hub/models/O/B/config.json", "{}");
  folder_.write("ms/O/C/configuration.json", "{}");
  folder_.write("ms/O/D/notes.txt", "no model");
  folder_.write("ms/models/._____temp/O/E/config.json", "{}");
  const std::vector<CachePlace> places = {{HubKind::ModelScope, path("ms"), "MODELSCOPE_CACHE"},
                                          {HubKind::ModelScope, path("ms/hub"), "MS_CACHE_HOME"}};
  EXPECT_THAT(list(places), ElementsAre("Own.er/Na.me master", "O/Na.me v1", "O/B ", "O/C "));
}

TEST_F(CatalogTest, SaysWhatCannotBeListed) {
  folder_.write("file", "");
  EXPECT_THAT(list({{HubKind::HuggingFace, path("file"), "HF_HOME"}}), IsEmpty());
  ASSERT_EQ(catalog_.refusals.size(), 1U);
  EXPECT_EQ(catalog_.refusals[0].reason, "a file, expected a folder");
}

TEST_F(CatalogTest, IdentifyKnowsAFolderByItsPlace) {
  folder_.write("hf/models--o--n/snapshots/" + kOld + "/x", "");
  folder_.write("ms/models/o--n/snapshots/v2/x", "");
  folder_.write("plain/.cache/huggingface/trees/" + kOld + ".json", "{}");
  const CatalogEntry hf = identify(path("hf/models--o--n/snapshots/" + kOld));
  EXPECT_EQ(hf.id, "o/n");
  EXPECT_EQ(hf.snapshot.tree_file.filename(), kOld + ".json");
  const CatalogEntry ms = identify(path("ms/models/o--n/snapshots/v2"));
  EXPECT_EQ(ms.id, "o/n");
  EXPECT_EQ(ms.snapshot.revision, "v2");
  const CatalogEntry plain = identify(path("plain"));
  EXPECT_EQ(plain.id, "");
  EXPECT_EQ(plain.snapshot.tree_file, path("plain/.cache/huggingface/trees/" + kOld + ".json"));
}

TEST_F(CatalogTest, FilesBelowAFolderAreThoseOfTheModel) {
  folder_.write("m/a/b.json", "12345");
  folder_.write("m/.msc", "a record");
  folder_.write("m/.cache/huggingface/x", "a record");
  folder_.write("elsewhere/c", "123");
  fs::create_symlink("../elsewhere/c", path("m/c"));
  fs::create_symlink("gone", path("m/d"));
  fs::create_directory_symlink("../elsewhere", path("m/e"));
  const std::vector<FolderFile> files = files_below(path("m"));
  ASSERT_EQ(files.size(), 3U);
  EXPECT_EQ(files[0].path, "a/b.json");
  EXPECT_EQ(files[0].bytes, 5U);
  EXPECT_EQ(files[1].path, "c");
  EXPECT_EQ(files[1].bytes, 3U);
  EXPECT_EQ(files[2].path, "d");
  EXPECT_EQ(files[2].bytes, std::nullopt);
}

TEST_F(CatalogTest, RecordsAreTheListingsTheBlobsAndTheDownloads) {
  folder_.write("m/blobs/" + kSha256, "x");
  folder_.write("m/s/c/plain", "x");
  fs::create_symlink("../../blobs/" + kSha256, path("m/s/c/link"));
  folder_.write("m/s/c/.cache/huggingface/download/plain.metadata", kOld + "\n" + kNew + "\n1.5\n");
  const Snapshot snapshot{.folder = path("m/s/c"), .revision = {}, .tree_file = {}};
  const Listing listing = {{.path = "link", .bytes = 1, .sha256 = kSha256, .git_sha1 = {}},
                           {.path = "plain", .bytes = 1, .sha256 = {}, .git_sha1 = kOld}};
  const std::vector<SumRecord> link = records_of(snapshot, "link", &listing);
  ASSERT_EQ(link.size(), 1U);
  EXPECT_EQ(link[0].kind, DigestKind::Sha256);
  EXPECT_EQ(link[0].source, "the hub's listing");
  EXPECT_EQ(records_of(snapshot, "link", nullptr).at(0).source, "the blob's name");
  const std::vector<SumRecord> plain = records_of(snapshot, "plain", &listing);
  ASSERT_EQ(plain.size(), 2U);
  EXPECT_EQ(plain[0].kind, DigestKind::GitBlob);
  EXPECT_EQ(plain[0].sum, kOld);
  EXPECT_EQ(plain[1].sum, kNew);
  EXPECT_EQ(plain[1].source, "the download's record");
  EXPECT_THAT(records_of(snapshot, "other", &listing), IsEmpty());
}

TEST(PublishedFiles, HaveSumsOfTheirKind) {
  for (const PublishedFile& file : published_files()) {
    EXPECT_EQ(file.sum.size(), file.kind == DigestKind::Md5 ? 32U : 64U) << file.path;
    EXPECT_EQ(file.sum.find_first_not_of("0123456789abcdef"), std::string_view::npos);
    EXPECT_TRUE(is_inner_path(file.path));
  }
}

}  // namespace
}  // namespace zimage::hub
