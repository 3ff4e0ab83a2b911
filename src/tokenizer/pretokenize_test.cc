// Normalisation and splitting on their own.
#include "tokenizer/pretokenize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "error_of.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string repeated(const std::string& part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

TEST(ToNfc, ComposesWhatCanBeComposed) {
  EXPECT_EQ(to_nfc(""), "");
  EXPECT_EQ(to_nfc("plain"), "plain");
  EXPECT_EQ(to_nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(to_nfc("\u1112\u1161\u11ab"), "\ud55c");    // Hangul letters to a syllable
  EXPECT_EQ(to_nfc("\u212b"), "\u00c5");                // the angstrom sign is a letter
  EXPECT_EQ(to_nfc("\u0958"), "\u0915\u093c");          // excluded from composition
  EXPECT_EQ(to_nfc("\ufb01 \u00bd"), "\ufb01 \u00bd");  // compatibility forms stay
  EXPECT_EQ(to_nfc(std::string("\0e\u0301", 4)), std::string("\0\u00e9", 3));
}

TEST(ToNfc, OrdersMarks) {
  EXPECT_EQ(to_nfc("q\u0307\u0323"), "q\u0323\u0307");
  EXPECT_EQ(to_nfc("a\u0315\u0300\u05ae\u0062"), "\u00e0\u05ae\u0315\u0062");
  EXPECT_EQ(to_nfc("\u1e9b\u0323"), "\u1e9b\u0323");
  EXPECT_EQ(to_nfc("\u1e0b\u0323"), "\u1e0d\u0307");
}

// Ordering in quadratic time takes minutes for this text.
TEST(ToNfc, TakesLongRunsOfMarks) {
  const std::string text = to_nfc(std::string("q").append(repeated("\u0307\u0323", 200000)));
  EXPECT_TRUE(text.starts_with("q\u0323\u0323"));
  EXPECT_TRUE(text.ends_with("\u0307\u0307"));
  EXPECT_EQ(text.size(), 1U + 4U * 200000U);
}

TEST(SplitPattern, GivesMatchesAndWhatIsBetween) {
  EXPECT_THAT(SplitPattern("[0-9]+", "t").split("ab12c345"), ElementsAre("ab", "12", "c", "345"));
  EXPECT_THAT(SplitPattern("[0-9]+", "t").split("ab"), ElementsAre("ab"));
  EXPECT_THAT(SplitPattern("[0-9]+", "t").split(""), IsEmpty());
  EXPECT_THAT(SplitPattern("\\p{L}", "t").split("\u00e9\u4e00"), ElementsAre("\u00e9", "\u4e00"));
}

TEST(SplitPattern, StepsOverEmptyMatches) {
  EXPECT_THAT(SplitPattern("x*", "t").split("axx\u4e00"), ElementsAre("a", "xx", "\u4e00"));
  EXPECT_THAT(SplitPattern("(?=b)", "t").split("abab"), ElementsAre("a", "ba", "b"));
  EXPECT_THAT(SplitPattern("", "t").split("ab"), ElementsAre("a", "b"));
}

// White space is Unicode's: NEL and the ideographic space are, the Mongolian vowel separator is
// not.
TEST(SplitPattern, KnowsUnicodeSpaces) {
  const SplitPattern spaces("\\s+", "t");
  EXPECT_THAT(spaces.split("a\u0085\u3000b"), ElementsAre("a", "\u0085\u3000", "b"));
  EXPECT_THAT(spaces.split("a\u180eb"), ElementsAre("a\u180eb"));
  EXPECT_THAT(SplitPattern("[^\\s]+", "t").split("a\u180e b"), ElementsAre("a\u180e", " ", "b"));
  EXPECT_THAT(SplitPattern("\\S+", "t").split("a\u180e b"), ElementsAre("a\u180e", " ", "b"));
  EXPECT_THAT(SplitPattern("\\\\s", "t").split("a\\sb"), ElementsAre("a", "\\s", "b"));
}

TEST(SplitPattern, RefusesWhatDoesNotCompile) {
  for (const std::string expression : {"(", "[a", "a{2,1}", "(?<=a*)b", "\\C", "\\"}) {
    const Error error = error_of([&] { SplitPattern(expression, "some.json"); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
    EXPECT_THAT(error.what(), HasSubstr("some.json: the Split expression"));
  }
  EXPECT_THAT(error_of([] { SplitPattern(std::string(100000, 'a'), "t"); }).what(),
              HasSubstr("longer than the limit"));
}

TEST(SplitPattern, GivesUpOnExplosions) {
  const SplitPattern pattern("(a+)+$", "t");
  const Error error = error_of([&] { pattern.split(std::string(60, 'a') + "!"); });
  EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  EXPECT_THAT(error.what(), HasSubstr("match limit exceeded"));
}

// The limits grow with the text: an expression that reads it a few times is no explosion.
TEST(SplitPattern, TakesLongTexts) {
  const SplitPattern pattern("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "t");
  EXPECT_THAT(pattern.split(repeated("\u3000", 1000000) + "x"),
              ElementsAre(repeated("\u3000", 999999), "\u3000", "x"));
}

}  // namespace
}  // namespace zimage
