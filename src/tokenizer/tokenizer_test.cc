// Text to ids: the reference's for Z-Image-Tiny and for the real Qwen3 file, and every rule by
// itself.
#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "error_of.h"
#include "small_tokenizer.h"
#include "temp_folder.h"

namespace zimage {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Ids = std::vector<std::int32_t>;

const char* const kTiny = ZIMAGE_SOURCE_DIR "/models/zimage-tiny/tokenizer/tokenizer.json";

json read_golden(const std::string& name) {
  std::ifstream stream(ZIMAGE_SOURCE_DIR "/tests/golden/" + name);
  return json::parse(stream);
}

Tokenizer parse(const json& file) {
  return Tokenizer::parse(file.dump(), "t.json");
}

TEST(ChatTemplate, WrapsOneUserMessage) {
  EXPECT_EQ(apply_chat_template("a red apple"),
            "<|im_start|>user\na red apple<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(apply_chat_template(""), "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n");
}

TEST(TinyTokenizer, GivesTheReferencesIds) {
  const Tokenizer tokenizer = Tokenizer::open(kTiny);
  EXPECT_EQ(tokenizer.size(), 4096);
  const json rows = read_golden("zimage_tiny_tokens.json");
  ASSERT_EQ(rows.size(), 8U);
  for (const json& row : rows) {
    const std::string text = apply_chat_template(row.at("prompt").get<std::string>());
    EXPECT_EQ(tokenizer.encode(text), row.at("ids").get<Ids>()) << row.at("case");
  }
}

TEST(Tokenizer, MergesInsideWords) {
  const Tokenizer tokenizer = parse(small_tokenizer());
  EXPECT_EQ(tokenizer.size(), 260);
  EXPECT_THAT(tokenizer.encode(""), IsEmpty());
  EXPECT_THAT(tokenizer.encode("abc"), ElementsAre(257));
  EXPECT_THAT(tokenizer.encode("abc ab"), ElementsAre(257, 32, 256));
  EXPECT_THAT(tokenizer.encode("x ac"), ElementsAre('x', 258, 'c'));
  EXPECT_THAT(tokenizer.encode("a1b"), ElementsAre('a', '1', 'b'));
  EXPECT_THAT(tokenizer.encode("\u4e00"), ElementsAre(0xe4, 0xb8, 0x80));
  EXPECT_THAT(tokenizer.encode(std::string("a\0b", 3)), ElementsAre('a', 0, 'b'));
}

TEST(Tokenizer, NormalisesWhenTheFileSaysSo) {
  json file = small_tokenizer();
  EXPECT_THAT(parse(file).encode("e\u0301"), ElementsAre(0xc3, 0xa9));
  file["normalizer"] = nullptr;
  EXPECT_THAT(parse(file).encode("e\u0301"), ElementsAre('e', 0xcc, 0x81));
}

TEST(Tokenizer, TakesAddedTokensWhole) {
  json file = small_tokenizer();
  file["added_tokens"].push_back({{"id", 260}, {"content", "<|x|>b"}, {"normalized", false}});
  file["added_tokens"].push_back({{"id", 261}, {"content", "|x|>c!"}, {"normalized", false}});
  file["added_tokens"].push_back({{"id", 60}, {"content", "<"}, {"normalized", false}});
  const Tokenizer tokenizer = parse(file);
  EXPECT_THAT(tokenizer.encode("<|x|>"), ElementsAre(259));
  EXPECT_THAT(tokenizer.encode("ab<|x|>ab"), ElementsAre(256, 259, 256));
  EXPECT_THAT(tokenizer.encode("<|x|><|x|>ba"), ElementsAre(259, 260, 'a'));  // the longest
  EXPECT_THAT(tokenizer.encode("<|x|>c!"), ElementsAre(259, 'c', '!'));       // the leftmost
  EXPECT_THAT(tokenizer.encode("<|x|"), ElementsAre('<', '|', 'x', '|'));
  EXPECT_THAT(tokenizer.encode("|x|>c!"), ElementsAre(261));
}

// Qwen's files mark none so, but it is the format's default.
TEST(Tokenizer, SearchesNormalizedTokensAfterNormalisation) {
  json file = small_tokenizer();
  file["added_tokens"].push_back({{"id", 260}, {"content", "e\u0301!"}, {"normalized", true}});
  file["added_tokens"].push_back({{"id", 261}, {"content", "o\u0301!"}, {"normalized", false}});
  const Tokenizer tokenizer = parse(file);
  EXPECT_THAT(tokenizer.encode("\u00e9!"), ElementsAre(260));
  EXPECT_THAT(tokenizer.encode("e\u0301!"), ElementsAre(260));
  EXPECT_THAT(tokenizer.encode("o\u0301!"), ElementsAre(261));
  EXPECT_THAT(tokenizer.encode("\u00f3!"), ElementsAre(0xc3, 0xb3, '!'));
}

TEST(Tokenizer, NamesTheFirstByteThatIsNotUtf8) {
  const Tokenizer tokenizer = parse(small_tokenizer());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\xff", "byte 0"},     {"ab\x80", "byte 2"},        {"\u4e00\xe4\xb8", "byte 3"},
      {"\xc0\xaf", "byte 0"}, {"a\xed\xa0\x80", "byte 1"}, {"\xf4\x90\x80\x80", "byte 0"},
      {"<|x|>\xc3", "byte 5"}};
  for (const auto& [text, place] : cases) {
    const Error error = error_of([&, &bytes = text] { tokenizer.encode(bytes); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(error.what(), testing::EndsWith("not UTF-8 at " + place));
  }
}

TEST(Tokenizer, ReportsAnExpressionThatDoesNotCompile) {
  json file = small_tokenizer();
  file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a";
  const Error error = error_of([&] { parse(file); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
  EXPECT_THAT(error.what(), HasSubstr("t.json: the Split expression \"(a\""));
}

TEST(Tokenizer, ReportsFilesThatCannotBeOpened) {
  const TempFolder folder;
  EXPECT_EQ(error_of([&] { Tokenizer::open(folder.path() / "none.json"); }).code(),
            ErrorCode::NotFound);
  EXPECT_EQ(error_of([&] { Tokenizer::open(folder.path()); }).code(), ErrorCode::InvalidFile);
  const auto empty = folder.write("empty.json", "");
  const Error error = error_of([&] { Tokenizer::open(empty); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
  EXPECT_THAT(error.what(), HasSubstr("empty.json: not valid JSON"));
}

TEST(Tokenizer, Moves) {
  Tokenizer first = parse(small_tokenizer());
  Tokenizer second = std::move(first);
  first = std::move(second);
  EXPECT_THAT(first.encode("abc"), ElementsAre(257));
}

TEST(Tokenizer, EncodesOnSeveralThreads) {
  const Tokenizer tokenizer = Tokenizer::open(kTiny);
  const std::string text = apply_chat_template("three strawberries, 一只猫 e\u0301");
  const Ids expected = tokenizer.encode(text);
  std::vector<Ids> found(4);
  std::vector<std::thread> threads;
  threads.reserve(found.size());
  for (Ids& ids : found) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) ids = tokenizer.encode(text);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(found, testing::Each(expected));
}

// Quadratic work anywhere on the way takes minutes for these.
TEST(Tokenizer, TakesLongTexts) {
  const Tokenizer tokenizer = Tokenizer::open(kTiny);
  for (const std::string part : {"a", " ", "\n", "<|im_start|", "\u3000", "\u0307\u0323", "=-"}) {
    std::string text;
    while (text.size() < 500000) text += part;
    EXPECT_FALSE(tokenizer.encode(text).empty()) << part;
  }
}

#ifdef ZIMAGE_QWEN3_TOKENIZER

TEST(Qwen3Tokenizer, GivesTheReferencesIds) {
  const Tokenizer tokenizer = Tokenizer::open(ZIMAGE_QWEN3_TOKENIZER);
  EXPECT_EQ(tokenizer.size(), 151669);
  const json rows = read_golden("qwen3_tokens.json");
  ASSERT_EQ(rows.size(), 40U);
  for (const json& row : rows) {
    EXPECT_EQ(tokenizer.encode(row.at("text").get<std::string>()), row.at("ids").get<Ids>())
        << row.at("text");
  }
}

#ifdef NDEBUG
// Processor time of this thread, so that other processes weigh little. About 0.06 s; a library that
// builds a tree of the document takes 0.6 s.
TEST(Qwen3Tokenizer, LoadsInAFifthOfASecond) {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const double start = now();
    const Tokenizer tokenizer = Tokenizer::open(ZIMAGE_QWEN3_TOKENIZER);
    best = std::min(best, now() - start);
  }
  EXPECT_LT(best, 0.2);
}
#endif

#endif

}  // namespace
}  // namespace zimage
