#include "cli/default_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"

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
  std::string error_of(const std::optional<std::string>& named, ErrorCode code) const {
    try {
      find_model(named, places_);
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
  EXPECT_THAT(error_of(std::nullopt, ErrorCode::NotFound),
              AllOf(HasSubstr("--model or ZIMAGE_MODEL"),
                    HasSubstr((root_ / "prefix/share/zimage/models/zimage-tiny").string()),
                    HasSubstr((root_ / "source/models/zimage-tiny").string())));
  const fs::path built = make("source/models/zimage-tiny");
  EXPECT_EQ(find_model(std::nullopt, places_), built);
  const fs::path installed = make("prefix/share/zimage/models/zimage-tiny");
  EXPECT_EQ(find_model(std::nullopt, places_), installed);
  const fs::path environment = make("environment");
  places_.environment = environment.string();
  EXPECT_EQ(find_model(std::nullopt, places_), environment);
  const fs::path named = make("named");
  EXPECT_EQ(find_model(named.string(), places_), named);
}

TEST_F(FindModel, WhatIsAskedForMustExist) {
  make("source/models/zimage-tiny");
  EXPECT_THAT(error_of("missing", ErrorCode::NotFound),
              HasSubstr("--model: there is no folder \"missing\""));
  EXPECT_THAT(error_of("", ErrorCode::InvalidArgument), HasSubstr("--model: expected a folder"));
  const std::string file = (root_ / "file").string();
  std::ofstream(file) << "x";
  EXPECT_THAT(error_of(file, ErrorCode::NotFound), HasSubstr("is none"));
  places_.environment = "missing";
  EXPECT_THAT(error_of(std::nullopt, ErrorCode::NotFound),
              HasSubstr("ZIMAGE_MODEL: there is no folder"));
}

TEST_F(FindModel, TheNameIsTheFoldersLastComponent) {
  const fs::path real = make("models/Z-Image-Turbo");
  fs::create_directory_symlink(real, root_ / "link");
  EXPECT_EQ(model_name(real), "Z-Image-Turbo");
  EXPECT_EQ(model_name(real / ""), "Z-Image-Turbo");
  EXPECT_EQ(model_name(root_ / "link"), "Z-Image-Turbo");
  EXPECT_EQ(model_name(make("bad\xff")), "bad\\xff");
}

}  // namespace
}  // namespace zimage::cli
