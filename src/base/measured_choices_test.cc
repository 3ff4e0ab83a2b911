#include "base/measured_choices.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <iterator>
#include <optional>

#include "temp_folder.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// An environment variable for the time of one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name); before != nullptr) before_ = before;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) {
    if (value == nullptr) {
      ::unsetenv(name_);
    } else {
      ::setenv(name_, value, 1);
    }
  }

  const char* name_;
  std::optional<std::string> before_;
};

TEST(Choices, AreReadAsTheyWereWritten) {
  const TempFolder folder;
  const fs::path file = folder.path() / "new" / "folder" / "choices.txt";
  const Choices choices = {{"products", "avx512"}, {"rows", "avx2"}};
  EXPECT_TRUE(write_choices(file, choices));
  EXPECT_EQ(read_choices(file), choices);
  EXPECT_TRUE(write_choices(file, {{"a", "b"}}));
  EXPECT_EQ(read_choices(file), (Choices{{"a", "b"}}));
  EXPECT_EQ(files_in(file.parent_path()), 1U);
}

TEST(Choices, OfNoFileAreEmpty) {
  const TempFolder folder;
  EXPECT_TRUE(read_choices(folder.path() / "missing").empty());
  EXPECT_TRUE(read_choices(folder.path()).empty());
  // Opening it would wait for ever.
  const fs::path pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(read_choices(pipe).empty());
}

TEST(Choices, OfADamagedFileAreWhatCanBeRead) {
  const TempFolder folder;
  EXPECT_TRUE(read_choices(folder.write("empty", "")).empty());
  EXPECT_TRUE(read_choices(folder.write("long", std::string(std::size_t{3} << 20, 'x'))).empty());
  EXPECT_EQ(read_choices(folder.write("cut", "a b\nc")), (Choices{{"a", "b"}}));
}

// The superuser may write anywhere, but not into a file's place as a folder.
TEST(Choices, ThatCannotBeWrittenLeaveNothingBehind) {
  const TempFolder folder;
  folder.write("file", "x");
  EXPECT_FALSE(write_choices(folder.path() / "file" / "choices.txt", {{"a", "b"}}));
  fs::create_directories(folder.path() / "taken" / "inner");
  EXPECT_FALSE(write_choices(folder.path() / "taken", {{"a", "b"}}));
  EXPECT_EQ(files_in(folder.path()), 2U);
}

TEST(ChoicesFolder, IsBelowTheCacheFolder) {
  const Variable home("HOME", "/home/me");
  {
    const Variable cache("XDG_CACHE_HOME", "/caches");
    EXPECT_EQ(choices_folder(), "/caches/zimage");
  }
  for (const char* value : {"", "relative"}) {
    const Variable cache("XDG_CACHE_HOME", value);
    EXPECT_EQ(choices_folder(), "/home/me/.cache/zimage") << value;
  }
  const Variable cache("XDG_CACHE_HOME", nullptr);
  const Variable nobody("HOME", nullptr);
  EXPECT_EQ(choices_folder(), "");
}

TEST(FileNamePart, HasNoSeparators) {
  EXPECT_EQ(file_name_part("Intel(R) Xeon 8592+/../x"), "Intel-R--Xeon-8592-----x");
}

}  // namespace
}  // namespace zimage
