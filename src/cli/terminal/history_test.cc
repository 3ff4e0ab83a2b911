#include "cli/terminal/history.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace zimage::cli {
namespace {

class HistoryFile : public testing::Test {
 protected:
  ~HistoryFile() override { std::filesystem::remove_all(folder_); }

  std::string text() const {
    std::ifstream stream(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void write(const std::string& text) const {
    std::filesystem::create_directories(file_.parent_path());
    std::ofstream(file_, std::ios::binary) << text;
  }

  static std::filesystem::path make_folder() {
    std::string name = testing::TempDir() + "zimage-history-XXXXXX";
    return mkdtemp(name.data());
  }

  const std::filesystem::path folder_ = make_folder();
  const std::filesystem::path file_ = folder_ / "state" / "zimage" / "history";
};

TEST_F(HistoryFile, KeepsLinesForTheNextRun) {
  History history(file_);
  EXPECT_TRUE(history.lines().empty());
  history.add("a red apple");
  history.add("a red apple");
  history.add("");
  history.add("\u4e00\u53ea\u732b");
  EXPECT_EQ(text(), "a red apple\n\u4e00\u53ea\u732b\n");
  struct stat status{};
  ASSERT_EQ(stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(History(file_).lines(), history.lines());
}

TEST_F(HistoryFile, TakesNothingThatWouldSteerATerminal) {
  write("good\nbad \x1b[2J\nbad \xff\n\nalso good");
  EXPECT_EQ(History(file_).lines(), (std::vector<std::string>{"good", "also good"}));
  History history;
  history.add(std::string(History::kMaxLineBytes + 1, 'x'));
  history.add("two\nlines");
  EXPECT_TRUE(history.lines().empty());
}

TEST_F(HistoryFile, IsBounded) {
  std::string lines;
  for (std::size_t i = 0; i < 2 * History::kMaxLines; ++i) lines += std::to_string(i) + "\n";
  write(lines);
  History history(file_);
  ASSERT_EQ(history.lines().size(), History::kMaxLines);
  EXPECT_EQ(history.lines().back(), "1999");
  EXPECT_TRUE(text().starts_with("1000\n1001\n"));
  history.add("new");
  EXPECT_EQ(history.lines().size(), History::kMaxLines);
  EXPECT_EQ(history.lines().front(), "1001");
}

TEST_F(HistoryFile, GoesOnWhereItCannotBeWritten) {
  std::ofstream(folder_ / "state") << "a file, no folder";
  History history(file_);
  history.add("a red apple");
  EXPECT_EQ(history.lines().size(), 1U);
}

}  // namespace
}  // namespace zimage::cli
