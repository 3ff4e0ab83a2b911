#include "cli/options/default_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "error_of.h"

namespace zimage::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class FindModel : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) / ("zimage-model-" + std::to_string(getpid()));
    fs::create_directories(root_);
    places_.executable = root_ / "prefix/bin/zimage";
    places_.source_tree = root_ / "source";
  }
  void TearDown() override { fs::remove_all(root_); }

  fs::path make(const std::string& folder) {
    fs::create_directories(root_ / folder);
    return root_ / folder;
  }
  std::string refusal(const std::optional<std::string>& named, ErrorCode code) const {
    try {
      find_model({.name = named}, places_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.what();
    }
    return "";
  }

  fs::path root_;
  ModelPlaces places_;
};

TEST_F(FindModel, PrefersTheNamedThenTheEnvironmentThenTheInstalled) {
  EXPECT_THAT(refusal(std::nullopt, ErrorCode::NotFound),
              AllOf(HasSubstr("--model or ZIMAGE_MODEL"),
                    HasSubstr((root_ / "prefix/share/zimage/models/zimage-tiny").string()),
                    HasSubstr((root_ / "source/models/zimage-tiny").string())));
  const fs::path built = make("source/models/zimage-tiny");
  EXPECT_EQ(find_model({}, places_).folder, built);
  const fs::path installed = make("prefix/share/zimage/models/zimage-tiny");
  EXPECT_EQ(find_model({}, places_).folder, installed);
  const fs::path environment = make("environment");
  places_.environment = environment.string();
  EXPECT_EQ(find_model({}, places_).folder, environment);
  const fs::path named = make("named");
  EXPECT_EQ(find_model({.name = named.string()}, places_).folder, named);
}

TEST_F(FindModel, WhatIsAskedForMustExist) {
  make("source/models/zimage-tiny");
  EXPECT_THAT(refusal("missing", ErrorCode::NotFound),
              AllOf(HasSubstr("--model: there is no folder \"missing\""), HasSubstr("OWNER/NAME")));
  EXPECT_THAT(refusal("", ErrorCode::InvalidArgument), HasSubstr("--model: expected a folder"));
  const std::string file = (root_ / "file").string();
  std::ofstream(file) << "x";
  EXPECT_THAT(refusal(file, ErrorCode::InvalidFile), HasSubstr("holds no part"));
  places_.environment = "missing";
  EXPECT_THAT(refusal(std::nullopt, ErrorCode::NotFound),
              HasSubstr("ZIMAGE_MODEL: there is no folder"));
}

TEST_F(FindModel, TakesAConfigurationByFolderOrName) {
  const fs::path installed = make("prefix/share/zimage/models/big");
  const fs::path built = make("source/models/z-image-turbo");
  const fs::path folder = make("folder");
  const auto find = [&](const std::string& config) {
    return find_model_or_config({}, config, places_).folder;
  };
  EXPECT_EQ(find("big"), installed);
  EXPECT_EQ(find("z-image-turbo"), built);
  EXPECT_EQ(find(folder.string()), folder);
  for (const char* name : {"", "missing"}) {
    const Error error = error_of([&] { find(name); });
    EXPECT_EQ(error.code(), ErrorCode::NotFound);
    EXPECT_THAT(error.what(), HasSubstr("--config: there is no configuration"));
  }
}

TEST_F(FindModel, OnlyHubsHaveRevisions) {
  const std::string folder = make("named").string();
  make("source/models/zimage-tiny");
  const auto message = [&](const ModelOptions& options) {
    return std::string(error_of([&] { find_model(options, places_); }).what());
  };
  EXPECT_THAT(message({.name = folder, .revision = "main"}),
              HasSubstr("is a folder, which has no"));
  EXPECT_THAT(message({.revision = "main"}), HasSubstr("the default model has no revisions"));
  EXPECT_THAT(message({.name = "a/b", .revision = "../x"}), HasSubstr("expected a branch"));
  EXPECT_THAT(message({.name = "a/b@v1", .revision = "v2"}), HasSubstr("which the name says"));
}

TEST_F(FindModel, TheNameIsTheFoldersLastComponent) {
  const fs::path real = make("models/Z-Image-Turbo");
  fs::create_directory_symlink(real, root_ / "link");
  EXPECT_EQ(model_name(real), "Z-Image-Turbo");
  EXPECT_EQ(model_name(real / ""), "Z-Image-Turbo");
  EXPECT_EQ(model_name(root_ / "link"), "Z-Image-Turbo");
  EXPECT_EQ(model_name(make("bad\xff")), "bad\\xff");
  EXPECT_EQ(model_name(make("hub/models--Tongyi-MAI--Z-Image-Turbo/snapshots/0123")),
            "Z-Image-Turbo");
  EXPECT_EQ(model_name(make("models/Tongyi-MAI--Z-Image-Turbo/snapshots/master")), "Z-Image-Turbo");
  EXPECT_EQ(model_name(make("snapshots/master")), "master");
}

}  // namespace
}  // namespace zimage::cli
