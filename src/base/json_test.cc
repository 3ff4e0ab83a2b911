// Tests of parsing and of checked access: each wrong input has one clear message.
#include "base/json.h"

#include <gmock/gmock.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "error_of.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']');
}

TEST(ParseJson, ReadsADocument) {
  EXPECT_EQ(parse_json(R"( {"a": [1, 2.5, "x", null, true]} )", "f")["a"][1].get<double>(), 2.5);
}

TEST(ParseJson, NamesTheFileThatIsNotJson) {
  for (const std::string& text : std::vector<std::string>{
           "", "{", "{} {}", "{'a': 1}", "{\"a\": 1,}", "nul", "\xff", "\"\xc3\"", "[1e999]", "NaN",
           "{\"a\" 1}", std::string("{}\0", 3)}) {
    const Error error = error_of([&] { parse_json(text, "config.json"); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile) << text;
    EXPECT_THAT(error.what(), HasSubstr("config.json: not valid JSON")) << text;
  }
}

TEST(ParseJson, DoesNotRepeatALongInputInItsMessage) {
  const Error error = error_of([] { parse_json("\"" + std::string(100000, 'x'), "f"); });
  EXPECT_LT(std::string(error.what()).size(), 300U);
}

TEST(ParseJson, BoundsTheNesting) {
  EXPECT_NO_THROW(parse_json(nested(64), "f"));
  const Error error = error_of([] { parse_json(nested(1'000'000), "f"); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
  EXPECT_THAT(error.what(), HasSubstr("f: nested too deeply"));
}

// Linear time takes 0.1 s; time that grows with the square of the members takes minutes.
TEST(ParseJson, ManyMembersTakeLinearTime) {
  std::string text = "[{}";
  for (int i = 0; i < 300'000; ++i) text += ", {\"a\": 1}";
  text += ']';
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(parse_json(text, "f").size(), 300'001U);
  EXPECT_EQ(parse_json_unique(text, "f").size(), 300'001U);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(ParseJsonUnique, RefusesAKeyThatOccursTwiceInOneObject) {
  for (const char* text : {R"({"a": 1, "a": 1})", R"({"x": {"a": 1, "b": {}, "a": 2}})",
                           R"([{"a": {"b": 1}, "\u0061": 2}])"}) {
    const Error error = error_of([&] { parse_json_unique(text, "f"); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile) << text;
    EXPECT_THAT(error.what(), HasSubstr("f: \"a\" occurs twice")) << text;
    EXPECT_NO_THROW(parse_json(text, "f"));
  }
}

TEST(ParseJsonUnique, AllowsOneKeyInSeveralObjects) {
  const Json document =
      parse_json_unique(R"({"a": {"a": {"a": 1}}, "b": [{"a": 2}, {"a": 3}]})", "f");
  EXPECT_EQ(document["a"]["a"]["a"].get<int>(), 1);
  EXPECT_EQ(document["b"][1]["a"].get<int>(), 3);
}

class JsonObjectTest : public testing::Test {
 protected:
  // Expects InvalidFile with `message` in its text.
  template <typename Function>
  void expect_invalid(const std::string& message, const Function& function) {
    const Error error = error_of(function);
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
    EXPECT_THAT(error.what(), HasSubstr(message));
  }

  Json json_ = Json::parse(R"({
    "dim": 3840, "eps": 1e-5, "name": "qwen", "on": true, "axes": [32, 48], "words": ["a", "b"],
    "part": {"x": 1}, "nothing": null, "big": 18446744073709551615, "none": [], "mixed": [1, "a"]
  })");
  JsonObject object_{json_, "config.json"};
};

TEST_F(JsonObjectTest, ReadsEachType) {
  EXPECT_EQ(object_.integer("dim"), 3840);
  EXPECT_DOUBLE_EQ(object_.number("eps"), 1e-5);
  EXPECT_DOUBLE_EQ(object_.number("dim"), 3840.0);
  EXPECT_EQ(object_.string("name"), "qwen");
  EXPECT_TRUE(object_.boolean("on"));
  EXPECT_THAT(object_.integers("axes"), ElementsAre(32, 48));
  EXPECT_THAT(object_.integers("none"), IsEmpty());
  EXPECT_THAT(object_.strings("words"), ElementsAre("a", "b"));
  EXPECT_EQ(object_.object("part").integer("x"), 1);
}

TEST_F(JsonObjectTest, NamesAMissingKey) {
  expect_invalid("config.json: \"heads\" is missing", [&] { object_.integer("heads"); });
  expect_invalid("config.json: \"nothing\" is missing", [&] { object_.string("nothing"); });
  expect_invalid("config.json: \"part\": \"y\" is missing",
                 [&] { object_.object("part").number("y"); });
}

TEST_F(JsonObjectTest, SaysWhichTypeWasExpectedAndFound) {
  expect_invalid("\"name\" is string, expected an integer", [&] { object_.integer("name"); });
  expect_invalid("\"eps\" is number, expected an integer", [&] { object_.integer("eps"); });
  expect_invalid("\"on\" is boolean, expected a number", [&] { object_.number("on"); });
  expect_invalid("\"dim\" is number, expected true or false", [&] { object_.boolean("dim"); });
  expect_invalid("\"dim\" is number, expected a string", [&] { object_.string("dim"); });
  expect_invalid("expected a list of integers", [&] { object_.integers("dim"); });
  expect_invalid("\"mixed\" is string", [&] { object_.integers("mixed"); });
  expect_invalid("\"mixed\" is number", [&] { object_.strings("mixed"); });
  expect_invalid("expected a JSON object, found array", [&] { object_.object("axes"); });
  expect_invalid("config.json: expected a JSON object, found array",
                 [&] { JsonObject(json_["axes"], "config.json"); });
}

TEST_F(JsonObjectTest, RefusesAnIntegerThatDoesNotFit) {
  expect_invalid("\"big\" is too large", [&] { object_.integer("big"); });
  const Json limits = Json::parse("{\"max\": 9223372036854775807, \"min\": -9223372036854775808}");
  EXPECT_EQ(JsonObject(limits, "f").integer("max"), INT64_MAX);
  EXPECT_EQ(JsonObject(limits, "f").integer("min"), INT64_MIN);
}

TEST_F(JsonObjectTest, FallsBackOnlyWhenAKeyIsAbsentOrNull) {
  EXPECT_FALSE(object_.has("heads"));
  EXPECT_FALSE(object_.has("nothing"));
  EXPECT_TRUE(object_.has("dim"));
  EXPECT_EQ(object_.integer("heads", 7), 7);
  EXPECT_EQ(object_.integer("nothing", 7), 7);
  EXPECT_EQ(object_.integer("dim", 7), 3840);
  EXPECT_DOUBLE_EQ(object_.number("shift", 3.0), 3.0);
  EXPECT_TRUE(object_.boolean("off", true));
  EXPECT_EQ(object_.string("act", "silu"), "silu");
  expect_invalid("\"name\" is string", [&] { object_.integer("name", 7); });
  expect_invalid("\"dim\" is number", [&] { object_.string("dim", "x"); });
}

}  // namespace
}  // namespace zimage
