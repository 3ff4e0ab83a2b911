// Names of pictures, and the folder that they may not leave.
#include "cli/drawing/tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "error_of.h"
#include "temp_folder.h"

namespace zimage::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Names : public testing::Test {
 protected:
  // The names that a line's pictures get, without the folder.
  std::vector<std::string> place(TaskNames& names, const PromptLine& line) {
    std::vector<std::string> result;
    for (const std::uint64_t seed : line.options.seeds) {
      Task task{.source = line.source, .options = line.options};
      task.options.seed = seed;
      names.name(task, line);
      result.push_back(
          std::filesystem::path(*task.options.output).lexically_relative(folder_.path()).string());
    }
    return result;
  }
  // Of the second prompt.
  std::vector<std::string> names_of(GenerateOptions command) {
    TaskNames names(command);
    PromptLine line{.source = "second", .number = 2, .options = command};
    line.options.output.reset();
    line.options.prompt = "x";
    return place(names, line);
  }
  GenerateOptions command(const std::string& output, std::vector<std::string> prompts,
                          std::vector<std::uint64_t> seeds) const {
    GenerateOptions options;
    options.output = (folder_.path() / output).string() + (output.empty() ? "/" : "");
    options.prompts = std::move(prompts);
    options.seeds = std::move(seeds);
    return options;
  }

  TempFolder folder_;
};

TEST_F(Names, SayWhatThereIsSeveralOf) {
  EXPECT_THAT(names_of(command("a.png", {"x", "y"}, {7})), ElementsAre("a-2.png"));
  EXPECT_THAT(names_of(command("a.png", {"x"}, {7, 9})), ElementsAre("a-7.png", "a-9.png"));
  EXPECT_THAT(names_of(command("a.png", {"x", "y"}, {7, 9})),
              ElementsAre("a-2-7.png", "a-2-9.png"));
  EXPECT_THAT(names_of(command("", {"x", "y"}, {7})), ElementsAre("zimage-2-7.png"));
  EXPECT_THAT(names_of(command("", {"x"}, {7, 9})), ElementsAre("zimage-7.png", "zimage-9.png"));
  GenerateOptions from_file = command("", {}, {7});
  from_file.prompt_file = "f";
  from_file.format = PictureFormat::Jpeg;
  EXPECT_THAT(names_of(from_file), ElementsAre("zimage-2-7.jpg"));
}

TEST_F(Names, OfALineStayInTheFolder) {
  const GenerateOptions all = command("", {}, {7});
  TaskNames names(all);
  const auto placed = [&](const std::string& name, std::vector<std::uint64_t> seeds) {
    PromptLine line{.source = "line 1", .options = all, .has_own_output = true};
    line.options.output = name;
    line.options.seeds = std::move(seeds);
    return place(names, line);
  };
  std::filesystem::create_directory(folder_.path() / "in");
  EXPECT_THAT(placed("cat.png", {1}), ElementsAre("cat.png"));
  EXPECT_THAT(placed("in/dog", {1, 2}), ElementsAre("in/dog-1.png", "in/dog-2.png"));
  const Error taken = error_of([&] { placed("./cat.png", {1}); });
  EXPECT_THAT(taken.what(), HasSubstr("is the picture of line 1"));
}

TEST_F(Names, AreConfined) {
  const std::filesystem::path root = folder_.path() / "root";
  std::filesystem::create_directories(root / "in");
  std::filesystem::create_directory_symlink("..", root / "out");
  std::filesystem::create_directory_symlink("in", root / "also-in");
  std::filesystem::create_symlink("nowhere.png", root / "link.png");
  EXPECT_EQ(confined(root, "a.png"), root / "a.png");
  EXPECT_EQ(confined(root, "in/a.png"), root / "in/a.png");
  EXPECT_EQ(confined(root, "also-in/a.png"), root / "also-in/a.png");
  for (const char* name : {"", ".", "..", "/etc/a.png", "../a.png", "in/../../a.png", "in/../a.png",
                           "in/", "out/a.png", "link.png", "in", "out"}) {
    EXPECT_EQ(error_of([&] { confined(root, name); }).code(), ErrorCode::InvalidArgument) << name;
  }
  for (const std::string& name : {std::string(260, 'a'), std::string("a\n.png"),
                                  std::string("a\x1b[1m.png"), std::string("a\xc2\x9b.png")}) {
    EXPECT_EQ(error_of([&] { confined(root, name); }).code(), ErrorCode::InvalidArgument) << name;
  }
  EXPECT_EQ(error_of([&] { confined(root, "missing/a.png"); }).code(), ErrorCode::NotFound);
  // A folder whose name only begins alike is another one.
  std::filesystem::create_directory(folder_.path() / "root2");
  std::filesystem::create_directory_symlink("../root2", root / "alike");
  EXPECT_THAT(error_of([&] { confined(root, "alike/a.png"); }).what(), HasSubstr("link out of"));
}

TEST_F(Names, OfASharedPlaceAreTried) {
  check_shared_place(command("a.png", {}, {}), true);
  check_shared_place(command("a.gif", {}, {}), false);
  EXPECT_EQ(error_of([&] { check_shared_place(command("a.gif", {}, {}), true); }).code(),
            ErrorCode::InvalidArgument);
  GenerateOptions piped;
  piped.output = "-";
  for (const bool uses : {true, false}) {
    EXPECT_EQ(error_of([&] { check_shared_place(command("no/a.png", {}, {}), uses); }).code(),
              ErrorCode::NotFound);
    EXPECT_EQ(error_of([&] { check_shared_place(piped, uses); }).code(),
              ErrorCode::InvalidArgument);
  }
}

}  // namespace
}  // namespace zimage::cli
