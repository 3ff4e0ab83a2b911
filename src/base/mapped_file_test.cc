// Tests of reading and mapping files, and of what is not a file.
#include "base/mapped_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <string>
#include <utility>

#include "error_of.h"
#include "temp_folder.h"

namespace zimage {
namespace {

using testing::HasSubstr;

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(MappedFile, ShowsTheBytes) {
  const TempFolder folder;
  const std::string bytes("a\0b\xff\n", 5);
  EXPECT_EQ(text_of(MappedFile(folder.write("file", bytes))), bytes);
  EXPECT_EQ(text_of(MappedFile(folder.write("empty", ""))), "");
}

TEST(MappedFile, MovesItsMapping) {
  const TempFolder folder;
  MappedFile first(folder.write("first", "one"));
  const std::byte* data = first.bytes().data();
  MappedFile moved(std::move(first));
  EXPECT_EQ(moved.bytes().data(), data);
  MappedFile other(folder.write("other", "three"));
  other = std::move(moved);
  EXPECT_EQ(text_of(other), "one");
}

TEST(MappedFile, NamesAFileThatIsNotThere) {
  const TempFolder folder;
  const Error error = error_of([&] { MappedFile(folder.path() / "absent"); });
  EXPECT_EQ(error.code(), ErrorCode::NotFound);
  EXPECT_THAT(error.what(), HasSubstr("/absent: No such file or directory"));
}

TEST(MappedFile, RefusesWhatIsNotARegularFile) {
  const TempFolder folder;
  // A pipe without a writer: opening it must not wait for one.
  const std::filesystem::path pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const std::filesystem::path& path :
       {folder.path(), pipe, std::filesystem::path("/dev/null")}) {
    const Error error = error_of([&] { MappedFile{path}; });
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
    EXPECT_THAT(error.what(), HasSubstr(path.string() + ": not a regular file"));
  }
}

TEST(ReadFile, ReadsUpToItsLimit) {
  const TempFolder folder;
  const std::filesystem::path path = folder.write("file", "12345");
  EXPECT_EQ(read_file(path, 5), "12345");
  EXPECT_EQ(read_file(folder.write("empty", ""), 5), "");
  const Error error = error_of([&] { read_file(path, 4); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
  EXPECT_THAT(error.what(), HasSubstr("5 bytes, expected at most 4"));
}

}  // namespace
}  // namespace zimage
