#include "cli/options/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/error.h"

namespace zimage::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

template <typename Function>
std::string error_of(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return error.what();
  }
  return "";
}

TEST(ParseCount, TakesPlainDecimalsOnly) {
  EXPECT_EQ(parse_count("--width", "1"), 1);
  EXPECT_EQ(parse_count("--width", "0256"), 256);
  EXPECT_EQ(parse_count("--width", "9223372036854775807"),
            std::numeric_limits<std::int64_t>::max());
  for (const char* text : {"", "0", "-0", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "1k", "one",
                           "9223372036854775808"}) {
    const std::string message = error_of([&] { parse_count("--width", text); });
    EXPECT_THAT(message, StartsWith("--width: expected a whole number of 1 or more, found \""))
        << text;
  }
}

TEST(ParseSeed, TakesAllOf64Bits) {
  EXPECT_EQ(parse_seed("--seed", "0"), 0U);
  EXPECT_EQ(parse_seed("--seed", "18446744073709551615"),
            std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"", "-1", "18446744073709551616", "random"}) {
    EXPECT_THAT(error_of([&] { parse_seed("--seed", text); }),
                HasSubstr("from 0 to 18446744073709551615"));
  }
}

TEST(ParseSmallCount, HasAnUpperBound) {
  EXPECT_EQ(parse_small_count("--threads", "8", 8), 8);
  for (const char* text : {"0", "9", "99999999999"}) {
    EXPECT_THAT(error_of([&] { parse_small_count("--threads", text, 8); }),
                HasSubstr("from 1 to 8"));
  }
}

TEST(ParseSize, NeedsBothSides) {
  const Size size = parse_size("--size", "768x512");
  EXPECT_EQ(size.width, 768);
  EXPECT_EQ(size.height, 512);
  EXPECT_EQ(parse_size("--size", "1X2").height, 2);
  for (const char* text : {"", "x", "1x", "x1", "0x1", "1x0", "-1x1", "1x1x1", "1*1", "1 x 1"}) {
    EXPECT_THAT(error_of([&] { parse_size("--size", text); }), StartsWith("--size: expected"))
        << text;
  }
}

TEST(ParseChoice, ListsTheChoices) {
  EXPECT_EQ(parse_choice("--rng", "cuda", {"cpu", "cuda"}), "cuda");
  for (const char* text : {"", "CPU", "cuda ", "gpu"}) {
    EXPECT_THAT(error_of([&] { parse_choice("--rng", text, {"cpu", "cuda"}); }),
                StartsWith("--rng: expected cpu or cuda, found \""));
  }
}

TEST(ParseDevice, KnowsTheDevices) {
  for (const char* text : {"auto", "cpu", "cuda", "cuda:0", "cuda:12", "reference"}) {
    EXPECT_EQ(parse_device("--device", text), text);
  }
  for (const char* text : {"", "CPU", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x"}) {
    EXPECT_THAT(error_of([&] { parse_device("--device", text); }), HasSubstr("cuda:N")) << text;
  }
}

TEST(Closest, FindsMisspellingsAndNothingElse) {
  const std::vector<std::string> options = {"--width", "--height", "--steps", "--seed", "--json"};
  EXPECT_EQ(closest("--stpes", options), "--steps");
  EXPECT_EQ(closest("--hieght", options), "--height");
  EXPECT_EQ(closest("--sed", options), "--seed");
  EXPECT_EQ(closest("--negative-prompt", options), std::nullopt);
  EXPECT_EQ(closest("a", options), std::nullopt);
  EXPECT_EQ(closest("--steps", {}), std::nullopt);
}

TEST(ParseBytes, NeedsAUnit) {
  EXPECT_EQ(parse_bytes("--memory-limit", "12GiB"), std::size_t{12} << 30);
  EXPECT_EQ(parse_bytes("--memory-limit", "1.5 GB"), 1'500'000'000U);
  EXPECT_EQ(parse_bytes("--memory-limit", "800kB"), 800'000U);
  EXPECT_EQ(parse_bytes("--memory-limit", "7B"), 7U);
  for (const char* wrong : {"", "12", "GiB", "-1GiB", "0MiB", "1e3MB", "nanGB", "infGB", "12 GiBs",
                            "1 2GiB", "99999999999TiB", "12gib"}) {
    EXPECT_THAT(error_of([&] { parse_bytes("--memory-limit", wrong); }),
                StartsWith("--memory-limit: expected a number of bytes"))
        << wrong;
  }
}

TEST(ParseSizes, AreSeparatedByCommas) {
  const std::vector<Size> sizes = parse_sizes("--size", "64x32,8x8");
  ASSERT_EQ(sizes.size(), 2U);
  EXPECT_EQ(sizes[0].height, 32);
  EXPECT_EQ(sizes[1].width, 8);
  for (const char* wrong : {"", ",", "64x32,", "64x32,,8x8", "64x32 8x8"})
    EXPECT_THAT(error_of([&] { parse_sizes("--size", wrong); }), StartsWith("--size: expected"));
}

}  // namespace
}  // namespace zimage::cli
