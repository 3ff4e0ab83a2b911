#include "base/whole_number.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace zimage {
namespace {

TEST(WholeNumber, IsAllOfTheText) {
  EXPECT_EQ(whole_number<int>("0"), 0);
  EXPECT_EQ(whole_number<int>("007"), 7);
  EXPECT_EQ(whole_number<std::uint64_t>("18446744073709551615"),
            std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"", "-1", "-0", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "one"})
    EXPECT_EQ(whole_number<int>(text), std::nullopt) << text;
}

TEST(WholeNumber, Fits) {
  EXPECT_EQ(whole_number<std::int8_t>("127"), 127);
  EXPECT_EQ(whole_number<std::int8_t>("128"), std::nullopt);
  EXPECT_EQ(whole_number<std::uint64_t>("18446744073709551616"), std::nullopt);
}

}  // namespace
}  // namespace zimage
