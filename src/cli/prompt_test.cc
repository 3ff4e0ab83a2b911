#include "cli/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/error.h"

namespace zimage::cli {
namespace {

using ::testing::HasSubstr;

std::string from_stdin(const std::string& bytes) {
  std::istringstream stream(bytes);
  GenerateOptions options;
  options.prompt_file = "-";
  return read_prompt(options, stream);
}

std::string error_of(const GenerateOptions& options, const std::string& input, ErrorCode code) {
  std::istringstream stream(input);
  try {
    read_prompt(options, stream);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "";
}

TEST(ReadPrompt, DropsWhatTheEditorAdds) {
  EXPECT_EQ(from_stdin("a cat"), "a cat");
  EXPECT_EQ(from_stdin("a cat\n"), "a cat");
  EXPECT_EQ(from_stdin("a cat\r\n"), "a cat");
  EXPECT_EQ(from_stdin("\xef\xbb\xbf\xe7\x8c\xab\n"), "\xe7\x8c\xab");
  EXPECT_EQ(from_stdin("a\n\n"), "a\n");
  EXPECT_EQ(from_stdin("a\nb\n"), "a\nb");
  EXPECT_EQ(from_stdin(" a \t"), " a \t");
  EXPECT_EQ(from_stdin(""), "");
  EXPECT_EQ(from_stdin("\n"), "");
}

TEST(ReadPrompt, RefusesWhatIsNoText) {
  GenerateOptions direct;
  direct.prompt = "caf\xe9";
  EXPECT_EQ(error_of(direct, "", ErrorCode::InvalidArgument),
            "--prompt: expected UTF-8, found byte 0xe9 at offset 3");
  GenerateOptions piped;
  piped.prompt_file = "-";
  EXPECT_EQ(error_of(piped, std::string("a\0b", 3), ErrorCode::InvalidArgument),
            "--prompt-file -: expected text, found a zero byte at offset 1");
  EXPECT_THAT(error_of(piped,
                       "\xff\xfe"
                       "a",
                       ErrorCode::InvalidArgument),
              HasSubstr("0xff at offset 0"));
}

TEST(ReadPrompt, RefusesWhatIsNoPrompt) {
  GenerateOptions piped;
  piped.prompt_file = "-";
  EXPECT_EQ(from_stdin(std::string(1 << 20, 'a')).size(), std::size_t{1} << 20);
  EXPECT_THAT(error_of(piped, std::string((1 << 20) + 1, 'a'), ErrorCode::InvalidFile),
              HasSubstr("more than 1048576 bytes"));
  GenerateOptions missing;
  missing.prompt_file = "/nonexistent/prompt.txt";
  EXPECT_THAT(error_of(missing, "", ErrorCode::NotFound), HasSubstr("No such file or directory"));
  GenerateOptions folder;
  folder.prompt_file = "/";
  EXPECT_THAT(error_of(folder, "", ErrorCode::Io), HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace zimage::cli
