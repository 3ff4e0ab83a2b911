#include "cli/drawing/output_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "base/error.h"

namespace zimage::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::uint8_t> kBytes = {'d', 'a', 't', 'a'};

class OutputFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("zimage-output-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(at(name)) << text;
  }
  std::string get(const std::string& name) const {
    std::ifstream file(at(name));
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : fs::directory_iterator(folder_))
      result.push_back(entry.path().filename());
    std::sort(result.begin(), result.end());
    return result;
  }
  std::string error_of(const std::string& argument, Overwrite overwrite, ErrorCode code) const {
    try {
      const OutputFile output(argument, "default.png", overwrite);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.what();
    }
    return "";
  }

  fs::path folder_;
};

TEST(Numbered, GoesBeforeTheExtension) {
  EXPECT_EQ(numbered("dir/cat.png", 2), "dir/cat-2.png");
  EXPECT_EQ(numbered("cat", 1), "cat-1");
  EXPECT_EQ(numbered("a.b.png", 10), "a.b-10.png");
  EXPECT_EQ(numbered("dir.d/cat", 1), "dir.d/cat-1");
}

TEST_F(OutputFileTest, TryingThePlaceLeavesNothing) {
  const OutputFile output(at("cat.png"), "default.png", Overwrite::Never);
  EXPECT_TRUE(names().empty());
}

TEST_F(OutputFileTest, TakesTheFirstFreeName) {
  const OutputFile output(at("cat.png"), "default.png", Overwrite::Never);
  put("cat-1.png", "mine");
  EXPECT_EQ(output.write(kBytes, {}), at("cat.png"));
  EXPECT_EQ(output.write(kBytes, {}), at("cat-2.png"));
  EXPECT_THAT(names(), ElementsAre("cat-1.png", "cat-2.png", "cat.png"));
  EXPECT_EQ(get("cat-1.png"), "mine");
  EXPECT_EQ(get("cat-2.png"), "data");
}

TEST_F(OutputFileTest, OverwritesWhenAllowed) {
  put("cat.png", "a longer old text");
  const OutputFile output(at("cat.png"), "default.png", Overwrite::Allowed);
  EXPECT_EQ(output.write(kBytes, {}), at("cat.png"));
  EXPECT_EQ(get("cat.png"), "data");
  EXPECT_THAT(names(), ElementsAre("cat.png"));
}

TEST_F(OutputFileTest, OverwritesWhatALinkNames) {
  fs::create_directory(folder_ / "real");
  put("real/cat.png", "old");
  fs::create_symlink("real/cat.png", folder_ / "link.png");
  const OutputFile output(at("link.png"), "default.png", Overwrite::Allowed);
  EXPECT_EQ(output.write(kBytes, {}), at("link.png"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "link.png"));
  EXPECT_EQ(get("real/cat.png"), "data");
}

TEST_F(OutputFileTest, AFolderGetsTheDefaultName) {
  const OutputFile plain(folder_.string(), "default.png", Overwrite::Never);
  EXPECT_EQ(plain.write(kBytes, {}), at("default.png"));
  const OutputFile slash(folder_.string() + "/", "default.png", Overwrite::Never);
  EXPECT_EQ(slash.write(kBytes, {}), at("default-1.png"));
}

TEST_F(OutputFileTest, SeveralPicturesAreNumbered) {
  const OutputFile output(at("cat.png"), "default.png", Overwrite::Never);
  put("cat-2.png", "mine");
  std::vector<std::string> written;
  for (const OutputFile& one : output.for_pictures(3)) written.push_back(one.write(kBytes, {}));
  EXPECT_THAT(written, ElementsAre(at("cat-1.png"), at("cat-2-1.png"), at("cat-3.png")));
  EXPECT_EQ(get("cat-2.png"), "mine");
  const std::vector<OutputFile> one = output.for_pictures(1);
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one.front().write(kBytes, {}), at("cat.png"));
}

TEST_F(OutputFileTest, AStreamTakesOnePicture) {
  const OutputFile null("/dev/null", "default.png", Overwrite::Never);
  EXPECT_EQ(null.for_pictures(1).size(), 1U);
  try {
    static_cast<void>(null.for_pictures(2));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_STREQ(error.what(), "--output: \"/dev/null\" takes one picture, found --count 2");
  }
}

TEST_F(OutputFileTest, AStopBeforeTheEndLeavesNothing) {
  const OutputFile output(at("cat.png"), "default.png", Overwrite::Never);
  std::stop_source stop;
  stop.request_stop();
  try {
    output.write(kBytes, stop.get_token());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Cancelled);
  }
  EXPECT_TRUE(names().empty());
}

TEST_F(OutputFileTest, RefusesPlacesThatTakeNoFile) {
  put("file", "");
  EXPECT_THAT(error_of(at("missing/cat.png"), Overwrite::Never, ErrorCode::NotFound),
              HasSubstr("there is no folder"));
  EXPECT_THAT(error_of(at("missing/"), Overwrite::Never, ErrorCode::NotFound),
              HasSubstr("there is no folder"));
  EXPECT_THAT(error_of(at("file/cat.png"), Overwrite::Never, ErrorCode::NotFound),
              HasSubstr("is no folder"));
  EXPECT_THAT(error_of(at(std::string(300, 'x')), Overwrite::Never, ErrorCode::Io),
              HasSubstr("too long"));
  EXPECT_THAT(error_of("/proc/cat.png", Overwrite::Never, ErrorCode::Io),
              HasSubstr("cannot write \"/proc/cat.png\""));
  EXPECT_THAT(error_of(at("cat.gif"), Overwrite::Never, ErrorCode::InvalidArgument),
              HasSubstr("PNG"));
  EXPECT_THAT(error_of("", Overwrite::Never, ErrorCode::InvalidArgument),
              HasSubstr("expected a path"));
  fs::create_directory(folder_ / "default.png");
  EXPECT_THAT(error_of(folder_.string(), Overwrite::Allowed, ErrorCode::Io),
              HasSubstr("Is a directory"));
}

TEST_F(OutputFileTest, AFolderThatVanishesIsAnErrorAndNoCrash) {
  fs::create_directory(folder_ / "gone");
  const OutputFile output(at("gone/cat.png"), "default.png", Overwrite::Never);
  fs::remove(folder_ / "gone");
  try {
    output.write(kBytes, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Io);
  }
}

TEST_F(OutputFileTest, DevicesAreWrittenInPlace) {
  const OutputFile full("/dev/full", "default.png", Overwrite::Never);
  try {
    full.write(kBytes, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Io);
    EXPECT_STREQ(error.what(), "cannot write \"/dev/full\": No space left on device");
  }
  EXPECT_EQ(OutputFile("/dev/null", "default.png", Overwrite::Never).write(kBytes, {}),
            "/dev/null");
}

TEST_F(OutputFileTest, ManyWritersGetManyNames) {
  constexpr int kWriters = 8;
  std::vector<fs::path> written(kWriters);
  {
    std::vector<std::jthread> threads;
    threads.reserve(kWriters);
    for (int i = 0; i < kWriters; ++i) {
      threads.emplace_back([&, i] {
        const OutputFile output(at("cat.png"), "default.png", Overwrite::Never);
        written[static_cast<std::size_t>(i)] = output.write(kBytes, {});
      });
    }
  }
  std::sort(written.begin(), written.end());
  EXPECT_EQ(std::unique(written.begin(), written.end()), written.end());
  EXPECT_EQ(names().size(), static_cast<std::size_t>(kWriters));
}

// What the second signal relies on.
TEST_F(OutputFileTest, NothingAppearsAfterAbandon) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const OutputFile output(at("cat.png"), "default.png", Overwrite::Never);
  EXPECT_EXIT(
      {
        OutputFile::abandon();
        std::thread([&output] { output.write(kBytes, {}); }).detach();
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        _exit(names().empty() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace zimage::cli
