// Caches of both hubs, written file by file: what is found in them, and what is said of the rest.
#include "hub/resolve.h"

#include <gmock/gmock.h>

#include "error_of.h"
#include "temp_folder.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

const std::string kOld(40, '1');
const std::string kNew(40, '2');

// The formats' part of the check is not what these tests are about.
std::vector<std::string> no_defects(const fs::path& /*folder*/) {
  return {};
}

class Resolve : public testing::Test {
 protected:
  // Every file that makes the model run, each with its path for content.
  void write_model(const fs::path& folder) const {
    for (const char* path :
         {"model_index.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer.json",
          "vae/config.json", "vae/model.safetensors"}) {
      folder_.write(folder / path, path);
    }
  }
  fs::path write_snapshot(const std::string& commit, const fs::path& cache = "hf") const {
    const fs::path snapshot = cache / "models--Own.er--Na.me/snapshots" / commit;
    write_model(snapshot);
    return folder_.path() / snapshot;
  }
  void write_ref(const std::string& name, const std::string& text) const {
    folder_.write(fs::path("hf/models--Own.er--Na.me/refs") / name, text);
  }
  fs::path storage() const { return folder_.path() / "hf/models--Own.er--Na.me"; }

  ResolvedModel find(const std::optional<std::string>& revision = std::nullopt) const {
    const std::vector<CachePlace> places = {
        {HubKind::ModelScope, folder_.path() / "ms", "MODELSCOPE_CACHE"},
        {HubKind::HuggingFace, folder_.path() / "hf", "HF_HUB_CACHE"},
        {HubKind::HuggingFace, folder_.path() / "hf2", "the default"}};
    return resolve({.owner = "Own.er", .name = "Na.me", .revision = revision}, places, no_defects);
  }
  std::string refusal(const std::optional<std::string>& revision = std::nullopt) const {
    const Error error = error_of([&] { find(revision); });
    EXPECT_EQ(error.code(), ErrorCode::NotFound);
    return error.what();
  }

  TempFolder folder_;
};

TEST_F(Resolve, HuggingFaceFollowsRefs) {
  write_snapshot(kOld);
  write_snapshot(kNew);
  write_ref("main", kNew + "\n");
  write_ref("refs/pr/7", kOld);
  EXPECT_EQ(find().folder, storage() / "snapshots" / kNew);
  EXPECT_EQ(find().revision, kNew);
  EXPECT_EQ(find("refs/pr/7").folder, storage() / "snapshots" / kOld);
  EXPECT_EQ(find(kOld).folder, storage() / "snapshots" / kOld);
  EXPECT_THAT(refusal("v9"), AllOf(HasSubstr("refs/v9"), HasSubstr("missing"), HasSubstr(kOld)));
}

TEST_F(Resolve, TheOnlySnapshotNeedsNoRef) {
  write_snapshot(kOld);
  EXPECT_EQ(find().revision, kOld);
  write_snapshot(kNew);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("no refs/main"), HasSubstr("--revision"),
                               HasSubstr(kOld + ", " + kNew)));
}

TEST_F(Resolve, ARefMustNameACommit) {
  write_snapshot(kOld);
  write_ref("main", "../../../secret");
  EXPECT_THAT(refusal(), HasSubstr("expected a commit id, found \"../../../secret\""));
  write_ref("main", kNew);
  EXPECT_THAT(refusal(), HasSubstr(kNew + " (Hugging Face, HF_HUB_CACHE): absent"));
}

TEST_F(Resolve, FollowsLinksAndNamesDanglingOnes) {
  const fs::path snapshot = write_snapshot(kNew);
  write_ref("main", kNew);
  folder_.write("hf/models--Own.er--Na.me/blobs/abc", "weights");
  fs::remove(snapshot / "vae/model.safetensors");
  fs::create_symlink("../../../blobs/abc", snapshot / "vae/model.safetensors");
  EXPECT_EQ(find().folder, snapshot);
  fs::remove(storage() / "blobs/abc");
  EXPECT_THAT(refusal(), HasSubstr("incomplete: vae/model.safetensors: a link to "
                                   "\"../../../blobs/abc\", which is absent"));
}

TEST_F(Resolve, HoldsASnapshotAgainstItsListing) {
  const fs::path snapshot = write_snapshot(kNew);
  write_ref("main", kNew);
  const std::string sum(64, 'e');
  const auto listing = [&](const std::string& bytes) {
    folder_.write("hf/models--Own.er--Na.me/trees/" + kNew + ".json",
                  R"({"format_version": 1, "files": {"README.md": {"size": 5},
                      "vae/model.safetensors": {"size": 9, "lfs_sha256": ")" +
                      sum + R"(", "lfs_size": )" + bytes + "}}}");
  };
  listing("21");
  EXPECT_EQ(find().folder, snapshot);
  listing("22");
  EXPECT_THAT(refusal(), HasSubstr("vae/model.safetensors: 21 bytes, expected 22"));
  fs::remove(snapshot / "vae/model.safetensors");
  EXPECT_THAT(refusal(), HasSubstr("vae/model.safetensors: missing, expected 22 bytes"));
  folder_.write("hf/models--Own.er--Na.me/blobs/" + sum + ".1a2b3c4d.incomplete", "12345");
  EXPECT_THAT(refusal(), HasSubstr("cut short or is in flight, with 5 bytes"));
}

TEST_F(Resolve, FindsEveryLayoutOfModelScope) {
  for (const char* layout :
       {"models/Own.er/Na___me", "hub/models/Own.er/Na___me",
        "models/Own.er--Na.me/snapshots/master", "models/Own.er--Na.me/snapshots/main",
        "models/Own.er--Na.me/snapshots/v3", "Own.er/Na.me", "hub/Own.er/Na.me",
        "hub/Own.er/Na___me", "models/Own.er/Na.me"}) {
    const fs::path folder = fs::path("ms") / layout;
    write_model(folder);
    EXPECT_EQ(find().folder, folder_.path() / folder);
    EXPECT_EQ(find().hub, HubKind::ModelScope);
    fs::remove_all(folder_.path() / "ms");
  }
}

TEST_F(Resolve, ModelScopesDownloadsInFlightAreNoModel) {
  write_model("ms/models/._____temp/Own.er/Na___me");
  EXPECT_THAT(refusal(), HasSubstr("(ModelScope, MODELSCOPE_CACHE): does not hold it"));
}

TEST_F(Resolve, ModelScopesRevisions) {
  write_model("ms/models/Own.er--Na.me/snapshots/v1");
  write_model("ms/models/Own.er--Na.me/snapshots/v2");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("neither master nor main"), HasSubstr("found v1, v2")));
  EXPECT_EQ(find("v2").revision, "v2");
  write_model("ms/Own.er/Na.me");
  EXPECT_THAT(refusal("v3"), AllOf(HasSubstr("snapshots/v3 (ModelScope"),
                                   HasSubstr("does not record its revision")));
  folder_.write("ms/Own.er/Na.me/.mv", "Revision:v3,CreatedAt:1700000000");
  EXPECT_EQ(find("v3").folder, folder_.path() / "ms/Own.er/Na.me");
  EXPECT_THAT(refusal("v4"), HasSubstr("is revision \"v3\""));
}

TEST_F(Resolve, JoinsATokenizerOfOneHubWithTheWeightsOfTheOther) {
  write_model("ms/models/Own.er/Na___me");
  fs::remove_all(folder_.path() / "ms/models/Own.er/Na___me/tokenizer");
  EXPECT_THAT(refusal(), HasSubstr("incomplete: tokenizer/tokenizer.json: missing"));
  const fs::path tokenizer = folder_.write(
      "hf/models--Own.er--Na.me/snapshots/" + kNew + "/tokenizer/tokenizer.json", "{}");
  folder_.write("hf/models--Own.er--Na.me/trees/" + kNew + ".json",
                R"({"format_version": 1, "files": {"model_index.json": {"size": 2}}})");
  const ResolvedModel model = find();
  EXPECT_EQ(model.folder, folder_.path() / "ms/models/Own.er/Na___me");
  EXPECT_EQ(model.tokenizer, tokenizer);
  // A folder that is whole is better than two halves.
  const fs::path whole = write_snapshot(kOld, "hf2");
  EXPECT_EQ(find().folder, whole);
  EXPECT_EQ(find().tokenizer, "");
}

TEST_F(Resolve, SaysOfEveryPlaceWhyItWasRefused) {
  folder_.write("ms", "a file");
  fs::create_directory(folder_.path() / "hf");
  fs::create_symlink("gone", folder_.path() / "hf2");
  const std::string root = folder_.path().string();
  EXPECT_EQ(refusal("v1"),
            "\"Own.er/Na.me\" at revision \"v1\" is whole in no cache; looked at:"
            "\n  " +
                root +
                "/ms (ModelScope, MODELSCOPE_CACHE): a file, expected a folder"
                "\n  " +
                root +
                "/hf (Hugging Face, HF_HUB_CACHE): does not hold it"
                "\n  " +
                root +
                "/hf2 (Hugging Face, the default): a link to \"gone\", which is absent"
                "\nfetch it with: zimage pull Own.er/Na.me --revision v1");
}

TEST_F(Resolve, AStorageFolderGivesItsSnapshot) {
  const fs::path snapshot = write_snapshot(kNew);
  write_ref("main", kNew);
  EXPECT_EQ(resolve_storage(storage(), std::nullopt, no_defects).folder, snapshot);
  fs::remove(snapshot / "tokenizer/tokenizer.json");
  EXPECT_THAT(error_of([&] { resolve_storage(storage(), std::nullopt, no_defects); }).what(),
              AllOf(HasSubstr("holds no whole model"), HasSubstr("tokenizer.json: missing")));
}

}  // namespace
}  // namespace zimage::hub
