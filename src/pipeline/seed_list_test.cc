// Lists, and what is none.
#include "pipeline/seed_list.h"

#include <gtest/gtest.h>

#include <string>

namespace zimage {
namespace {

using Seeds = std::vector<std::uint64_t>;

TEST(SeedList, HasNumbersAndRanges) {
  EXPECT_EQ(parse_seed_list("7"), Seeds{7});
  EXPECT_EQ(parse_seed_list("1,2,5-9"), (Seeds{1, 2, 5, 6, 7, 8, 9}));
  EXPECT_EQ(parse_seed_list("9,3-3,0"), (Seeds{9, 3, 0}));
  EXPECT_EQ(parse_seed_list("18446744073709551614-18446744073709551615"),
            (Seeds{18446744073709551614U, 18446744073709551615U}));
  EXPECT_EQ(parse_seed_list("0-9999")->size(), kMaxSeeds);
}

TEST(SeedList, RefusesEverythingElse) {
  for (const char* text : {"",
                           ",",
                           "1,",
                           ",1",
                           "1,,2",
                           "-",
                           "1-",
                           "-1",
                           "5-1",
                           "1-2-3",
                           "+1",
                           " 1",
                           "1, 2",
                           "0x1",
                           "1.5",
                           "a",
                           "18446744073709551616",
                           "1,1",
                           "1-3,2",
                           "0-10000",
                           "0-9998,10000-10001",
                           "0-18446744073709551615"}) {
    EXPECT_FALSE(parse_seed_list(text)) << text;
  }
}

}  // namespace
}  // namespace zimage
