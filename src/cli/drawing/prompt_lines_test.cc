// Files to lines, lines to options.
#include "cli/drawing/prompt_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/error.h"
#include "error_of.h"

namespace zimage::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

GenerateOptions piped() {
  GenerateOptions options;
  options.prompt_file = "-";
  options.draw.steps = 4;
  return options;
}

std::vector<PromptLine> lines_of(const std::string& bytes) {
  std::istringstream stream(bytes);
  return read_prompts(piped(), stream);
}

std::vector<std::string> prompts_of(const std::string& bytes) {
  std::vector<std::string> prompts;
  for (const PromptLine& line : lines_of(bytes))
    prompts.push_back(line.error ? "error: " + *line.error : line.options.prompt.value());
  return prompts;
}

TEST(ReadPrompts, TakesALineEach) {
  EXPECT_THAT(prompts_of("a cat"), ElementsAre("a cat"));
  EXPECT_THAT(prompts_of("a\nb\n"), ElementsAre("a", "b"));
  EXPECT_THAT(prompts_of("\xef\xbb\xbf\xe7\x8c\xab\r\n\r\n# c\r\n b \t\n"),
              ElementsAre("\xe7\x8c\xab", " b \t"));
  const std::vector<PromptLine> lines = lines_of("\n# x\na\n\nb");
  EXPECT_EQ(lines.at(0).number, 3);
  EXPECT_EQ(lines.at(0).source, "line:3");
  EXPECT_EQ(lines.at(1).number, 5);
}

TEST(ReadPrompts, TakesWhiteSpaceBeforeAnObject) {
  EXPECT_THAT(prompts_of(" \t{\"prompt\": \"a\"}\n {\n"),
              ElementsAre("a", HasSubstr("error: JSON: ")));
}

TEST(ReadPrompts, TakesOptionsOfALine) {
  const std::vector<PromptLine> lines = lines_of(
      R"({"prompt": "a\nb", "seed": 18446744073709551615, "size": "32x48", "cfg_truncation": 0.5,)"
      R"( "sigmas": [1, 0.5], "no-composite": false, "negative_prompt": "x", "output": "c.png"})"
      "\n{\"prompt\": \"\", \"seeds\": \"1-2\"}\n{\"prompt\":\"c\",\"seeds\":[3,4]}");
  ASSERT_EQ(lines.size(), 3U);
  const GenerateOptions& first = lines[0].options;
  ASSERT_FALSE(lines[0].error) << *lines[0].error;
  EXPECT_EQ(first.prompt, "a\nb");
  EXPECT_EQ(first.seed, 18446744073709551615U);
  EXPECT_EQ(first.draw.height, 48);
  EXPECT_EQ(first.draw.cfg_truncation, 0.5);
  EXPECT_THAT(first.draw.sigmas, ElementsAre(1, 0.5));
  EXPECT_FALSE(first.draw.steps);
  EXPECT_EQ(first.draw.negative_prompt, "x");
  EXPECT_TRUE(lines[0].has_own_output);
  EXPECT_THAT(lines[1].options.seeds, ElementsAre(1U, 2U));
  EXPECT_EQ(lines[1].options.draw.steps, 4);
  EXPECT_FALSE(lines[1].has_own_output);
  EXPECT_THAT(lines[2].options.seeds, ElementsAre(3U, 4U));
}

TEST(ReadPrompts, RefusesALineByItself) {
  const std::string text =
      "caf\xe9\n{\n{\"prompt\": 1, \"prompt\": 2}\n{\"prompt\": null}\n{\"prompt\": \"a\", \"x "
      "y\": 1}\n"
      "{\"prompt\": \"a\", \"steps\": {}}\n{\"prompt\": \"a\", \"sigmas\": [\"1\"]}\n{\"seed\": "
      "1}\n"
      "{\"prompt\": \"a\\u0000\"}\n{\"prompt\": \"a\", \"steps\": 1.5}\n"
      "{\"prompt\": \"a\", \"prompt=b\": 1}\n{\"prompt\": \"a\", \"model\": \"b\"}\ngood\n" +
      std::string((1 << 20) + 1, 'a');
  const std::vector<std::string> found = prompts_of(text);
  const char* const expected[] = {"byte 0xe9 at offset 3",
                                  "JSON: ",
                                  "JSON: ",
                                  "prompt: expected text, a number",
                                  "expected names of options such as \"prompt\", found \"x y\"",
                                  "steps: expected text, a number",
                                  "sigmas: expected a list of numbers",
                                  "prompt: expected one, found none",
                                  "zero byte at offset 1",
                                  "--steps: expected",
                                  "found \"prompt=b\"",
                                  "unknown option \"--model\"",
                                  "good",
                                  "more than 1048576 bytes"};
  ASSERT_EQ(found.size(), std::size(expected));
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_THAT(found[i], HasSubstr(expected[i])) << i;
}

TEST(ReadPrompts, RefusesWhatIsNoFileOfPrompts) {
  EXPECT_THAT(error_of([] { lines_of(""); }).what(), HasSubstr("found none"));
  EXPECT_THAT(error_of([] { lines_of("\n#\n"); }).what(), HasSubstr("found none"));
  GenerateOptions missing;
  missing.prompt_file = "/nonexistent/prompt.txt";
  std::istringstream none;
  EXPECT_EQ(error_of([&] { read_prompts(missing, none); }).code(), ErrorCode::NotFound);
  missing.prompt_file = "/";
  EXPECT_EQ(error_of([&] { read_prompts(missing, none); }).code(), ErrorCode::Io);
}

TEST(ReadPrompts, NumbersThoseOfTheCommandLine) {
  GenerateOptions options;
  options.prompts = {"a", "caf\xe9", ""};
  std::istringstream none;
  const std::vector<PromptLine> lines = read_prompts(options, none);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].source, "--prompt 1");
  EXPECT_TRUE(lines[1].error);
  EXPECT_EQ(lines[2].options.prompt, "");
  EXPECT_EQ(lines[2].number, 3);
}

TEST(ReadPrompts, NamesAPictureForItsPrompt) {
  GenerateOptions options;
  options.from_image = "a.png";
  options.prompts = {"a"};
  std::istringstream none;
  EXPECT_EQ(read_prompts(options, none).at(0).source, "--from-image");
  options.given = {"--prompt"};
  EXPECT_EQ(read_prompts(options, none).at(0).source, "--prompt");
}

}  // namespace
}  // namespace zimage::cli
