// What a tokenizer.json may say, and the one error for each thing it may not.
#include "tokenizer/tokenizer_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "error_of.h"
#include "small_tokenizer.h"

namespace zimage {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TokenizerFile read(const json& file) {
  return read_tokenizer_file(file.dump(), "t.json");
}

// A change to a good file, the error it causes, and a part of its message.
struct Case {
  std::function<void(json&)> change;
  ErrorCode code;
  std::string message;
};

void expect_errors(const std::vector<Case>& cases) {
  for (const Case& test : cases) {
    SCOPED_TRACE(test.message);
    json file = small_tokenizer();
    test.change(file);
    const Error error = error_of([&] { read(file); });
    EXPECT_EQ(error.code(), test.code);
    EXPECT_THAT(error.what(), HasSubstr("t.json"));
    EXPECT_THAT(error.what(), HasSubstr(test.message));
  }
}

TEST(TokenizerFile, ReadsEveryPart) {
  const TokenizerFile file = read(small_tokenizer());
  EXPECT_TRUE(file.nfc);
  EXPECT_THAT(file.split_expression, HasSubstr("(?i:'s|"));
  ASSERT_EQ(file.added_tokens.size(), 1U);
  EXPECT_EQ(file.added_tokens[0].content, "<|x|>");
  EXPECT_FALSE(file.added_tokens[0].normalized);
  EXPECT_EQ(file.size, 260);
  std::vector<std::int32_t> ids;
  file.bpe.encode(" abcab", ids);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{32, 257, 256}));
}

TEST(TokenizerFile, TakesOptionalPartsAway) {
  json file = small_tokenizer();
  for (const char* key : {"normalizer", "post_processor", "added_tokens", "version"}) {
    file.erase(key);
  }
  file["pre_tokenizer"]["pretokenizers"][0].erase("invert");
  const TokenizerFile read_file = read(file);
  EXPECT_FALSE(read_file.nfc);
  EXPECT_TRUE(read_file.added_tokens.empty());
  EXPECT_EQ(read_file.size, 259);
}

TEST(TokenizerFile, ReadsMergesAsText) {
  json file = small_tokenizer();
  file["model"]["merges"] = {"a b", "ab c", byte_character(' ') + " a"};
  std::vector<std::int32_t> ids;
  read(file).bpe.encode("abc a", ids);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{257, 258}));
}

// Neutral values that other writers leave in the file.
TEST(TokenizerFile, TakesNeutralOptions) {
  json file = small_tokenizer();
  json& model = file["model"];
  model["dropout"] = nullptr;
  model["unk_token"] = nullptr;
  model["continuing_subword_prefix"] = "";
  model["end_of_word_suffix"] = "";
  model["fuse_unk"] = false;
  model["byte_fallback"] = false;
  model["ignore_merges"] = false;
  file["truncation"] = nullptr;
  file["padding"] = nullptr;
  EXPECT_EQ(read(file).size, 260);
}

// An added token may repeat a token of the vocabulary, with the same id.
TEST(TokenizerFile, TakesAddedTokensOfTheVocabulary) {
  json file = small_tokenizer();
  file["added_tokens"].push_back({{"id", 257}, {"content", "abc"}});
  const TokenizerFile read_file = read(file);
  EXPECT_EQ(read_file.added_tokens.size(), 2U);
  EXPECT_TRUE(read_file.added_tokens[1].normalized);
  EXPECT_EQ(read_file.size, 260);
}

TEST(TokenizerFile, RefusesWhatIsNoJson) {
  for (const std::string text : {"", " ", "{", "}", "nul", "{\"model\": }", "[1, 2", "{} {}",
                                 "{\"a\": \"\xff\"}", "{\"a\": \"\\ud800\"}", "\"open"}) {
    const Error error = error_of([&] { read_tokenizer_file(text, "t.json"); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile) << text;
    EXPECT_THAT(error.what(), HasSubstr("t.json: not valid JSON"));
  }
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_THAT(error_of([&] { read_tokenizer_file(deep, "t.json"); }).what(),
              HasSubstr("not valid JSON"));
}

TEST(TokenizerFile, RefusesEveryTruncation) {
  const std::string text = small_tokenizer().dump();
  for (std::size_t size = 0; size < text.size(); size += 7) {
    const Error error = error_of([&] { read_tokenizer_file(text.substr(0, size), "t.json"); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile) << size;
  }
}

TEST(TokenizerFile, RefusesMissingAndMistypedParts) {
  constexpr ErrorCode kInvalid = ErrorCode::InvalidFile;
  expect_errors({
      {[](json& f) { f = 7; }, kInvalid, "found a number, expected an object"},
      {[](json& f) { f = json::array(); }, kInvalid, "found an array, expected an object"},
      {[](json& f) { f.erase("model"); }, kInvalid, "\"model\" is missing"},
      {[](json& f) { f["model"] = "BPE"; }, kInvalid, "\"model\": found a string"},
      {[](json& f) { f["model"].erase("type"); }, kInvalid, "\"model\": \"type\" is missing"},
      {[](json& f) { f["model"].erase("vocab"); }, kInvalid, "\"vocab\" is missing"},
      {[](json& f) { f["model"]["vocab"] = nullptr; }, kInvalid, "\"vocab\" is missing"},
      {[](json& f) { f["model"]["vocab"] = json::array(); }, kInvalid, "\"vocab\": found an array"},
      {[](json& f) { f["model"].erase("merges"); }, kInvalid, "\"merges\" is missing"},
      {[](json& f) { f["model"]["merges"] = "a b"; }, kInvalid, "\"merges\": found a string"},
      {[](json& f) { f["model"]["ignore_merges"] = 0; }, kInvalid, "\"ignore_merges\": found"},
      {[](json& f) { f["added_tokens"] = 1; }, kInvalid, "\"added_tokens\": found a number"},
      {[](json& f) { f["added_tokens"][0] = 1; }, kInvalid, "\"added_tokens\"[0]: found a number"},
      {[](json& f) { f["normalizer"] = "NFC"; }, kInvalid, "\"normalizer\": found a string"},
      {[](json& f) { f.erase("pre_tokenizer"); }, kInvalid, "\"pre_tokenizer\" is missing"},
      {[](json& f) { f["pre_tokenizer"].erase("pretokenizers"); }, kInvalid,
       "\"pretokenizers\" is missing"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][0].erase("behavior"); }, kInvalid,
       "\"behavior\" is missing"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][0].erase("pattern"); }, kInvalid,
       "\"pattern\" is missing"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = true; }, kInvalid,
       "\"Regex\": found a boolean, expected a string"},
  });
}

TEST(TokenizerFile, RefusesBrokenVocabularies) {
  constexpr ErrorCode kInvalid = ErrorCode::InvalidFile;
  expect_errors({
      {[](json& f) { f["model"]["vocab"]["abc"] = -1; }, kInvalid, "\"abc\": not an id"},
      {[](json& f) { f["model"]["vocab"]["abc"] = 1.5; }, kInvalid, "\"abc\": not an id"},
      {[](json& f) { f["model"]["vocab"]["abc"] = "257"; }, kInvalid, "\"abc\": not an id"},
      {[](json& f) { f["model"]["vocab"]["abc"] = 1 << 24; }, kInvalid, "\"abc\": not an id"},
      {[](json& f) { f["model"]["vocab"]["abc"] = 1e19; }, kInvalid, "\"abc\": not an id"},
      {[](json& f) { f["model"]["vocab"]["abc"] = 256; }, kInvalid, "id 256 is taken"},
      {[](json& f) { f["model"]["vocab"].erase("A"); }, kInvalid,
       "has no token \"A\", which stands for byte 65"},
      {[](json& f) { f["model"]["vocab"].erase(byte_character(255)); }, kInvalid,
       "which stands for byte 255"},
      {[](json& f) { f["model"]["vocab"] = json::object(); }, kInvalid, "has no token"},
  });
  std::string twice = small_tokenizer().dump();
  twice.replace(twice.find("\"abc\":257"), 9, "\"abc\":257,\"abc\":300");
  EXPECT_THAT(error_of([&] { read_tokenizer_file(twice, "t.json"); }).what(),
              HasSubstr("\"vocab\": \"abc\": appears twice"));
}

TEST(TokenizerFile, RefusesBrokenMerges) {
  constexpr ErrorCode kInvalid = ErrorCode::InvalidFile;
  const std::string shape = "\"merges\"[1]: expected two tokens";
  expect_errors({
      {[](json& f) { f["model"]["merges"][1] = "ab"; }, kInvalid, shape},
      {[](json& f) { f["model"]["merges"][1] = "a b c"; }, kInvalid, shape},
      {[](json& f) { f["model"]["merges"][1] = 5; }, kInvalid, shape},
      {[](json& f) { f["model"]["merges"][1] = json::array({"ab"}); }, kInvalid, shape},
      {[](json& f) { f["model"]["merges"][1] = {"ab", "c", "d"}; }, kInvalid, shape},
      {[](json& f) { f["model"]["merges"][1] = json::array({"ab", 3}); }, kInvalid, shape},
      {[](json& f) { f["model"]["merges"][1] = {"ab", "zz"}; }, kInvalid,
       "\"merges\"[1]: token \"abzz\" is not in the vocabulary"},
      {[](json& f) { f["model"]["merges"][1] = {"abc", ""}; }, kInvalid,
       "\"merges\"[1]: token \"\" is not in the vocabulary"},
      {[](json& f) { f["model"]["merges"][1] = {"a", "c"}; }, kInvalid,
       "\"merges\"[1]: token \"ac\" is not in the vocabulary"},
      {[](json& f) { f["model"]["merges"][2] = {"a", "b"}; }, kInvalid,
       "\"merges\"[2]: the pair appears twice"},
  });
}

TEST(TokenizerFile, RefusesBrokenAddedTokens) {
  constexpr ErrorCode kInvalid = ErrorCode::InvalidFile;
  expect_errors({
      {[](json& f) { f["added_tokens"][0].erase("content"); }, kInvalid, "\"content\" is missing"},
      {[](json& f) { f["added_tokens"][0].erase("id"); }, kInvalid, "\"id\" is missing"},
      {[](json& f) { f["added_tokens"][0]["id"] = -5; }, kInvalid, "\"id\": not an id"},
      {[](json& f) { f["added_tokens"][0]["id"] = true; }, kInvalid, "\"id\": not an id"},
      {[](json& f) { f["added_tokens"][0]["content"] = ""; }, kInvalid, "has 0 bytes"},
      {[](json& f) { f["added_tokens"][0]["content"] = std::string(1025, 'x'); }, kInvalid,
       "has 1025 bytes"},
      {[](json& f) { f["added_tokens"][0]["id"] = 256; }, kInvalid, "id 256 is taken"},
      {[](json& f) { f["added_tokens"][0]["content"] = "abc"; }, kInvalid,
       "\"id\" is 259, and 257 in the vocabulary"},
      {[](json& f) { f["added_tokens"].push_back({{"id", 259}, {"content", "<y>"}}); }, kInvalid,
       "id 259 is taken"},
      {[](json& f) { f["added_tokens"].push_back({{"id", 260}, {"content", "<|x|>"}}); }, kInvalid,
       "\"<|x|>\" appears twice"},
      {[](json& f) { f["added_tokens"][0]["normalized"] = 1; }, kInvalid, "\"normalized\": found"},
  });
}

TEST(TokenizerFile, RefusesOtherComponentsByName) {
  constexpr ErrorCode kUnsupported = ErrorCode::Unsupported;
  expect_errors({
      {[](json& f) { f["model"]["type"] = "WordPiece"; }, kUnsupported,
       "\"model\": \"type\" is \"WordPiece\", expected \"BPE\""},
      {[](json& f) { f["model"]["dropout"] = 0.1; }, kUnsupported, "\"dropout\""},
      {[](json& f) { f["model"]["ignore_merges"] = true; }, kUnsupported, "\"ignore_merges\""},
      {[](json& f) { f["model"]["continuing_subword_prefix"] = "##"; }, kUnsupported,
       "\"continuing_subword_prefix\" is \"##\""},
      {[](json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }, kUnsupported,
       "\"end_of_word_suffix\""},
      {[](json& f) { f["normalizer"]["type"] = "NFKC"; }, kUnsupported, "is \"NFKC\""},
      {[](json& f) { f["post_processor"]["type"] = "TemplateProcessing"; }, kUnsupported,
       "\"post_processor\": \"type\" is \"TemplateProcessing\""},
      {[](json& f) { f["pre_tokenizer"]["type"] = "Whitespace"; }, kUnsupported, "\"Whitespace\""},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"].erase(0); }, kUnsupported, "is 1 steps"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["type"] = "Digits"; }, kUnsupported,
       "\"pretokenizers\"[0]: \"type\" is \"Digits\""},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; },
       kUnsupported, "\"behavior\" is \"Removed\""},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["invert"] = true; }, kUnsupported,
       "\"invert\" is true"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"String", " "}}; },
       kUnsupported, "\"pattern\" is another kind of pattern"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["type"] = "Metaspace"; }, kUnsupported,
       "\"Metaspace\""},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][1].erase("use_regex"); }, kUnsupported,
       "\"use_regex\" is true"},
      {[](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; },
       kUnsupported, "\"add_prefix_space\" is true"},
      {[](json& f) { f["added_tokens"][0]["lstrip"] = true; }, kUnsupported, "\"lstrip\" is true"},
      {[](json& f) { f["added_tokens"][0]["rstrip"] = true; }, kUnsupported, "\"rstrip\" is true"},
      {[](json& f) { f["added_tokens"][0]["single_word"] = true; }, kUnsupported,
       "\"single_word\" is true"},
  });
}

}  // namespace
}  // namespace zimage
