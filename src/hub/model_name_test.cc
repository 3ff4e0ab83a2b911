#include "hub/model_name.h"

#include <gtest/gtest.h>

namespace zimage::hub {
namespace {

TEST(ParseModelName, SplitsOwnerNameAndRevision) {
  const auto plain = parse_model_name("Tongyi-MAI/Z-Image-Turbo");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->owner, "Tongyi-MAI");
  EXPECT_EQ(plain->name, "Z-Image-Turbo");
  EXPECT_EQ(plain->revision, std::nullopt);
  EXPECT_EQ(plain->id(), "Tongyi-MAI/Z-Image-Turbo");
  const auto pinned = parse_model_name("a/FLUX.1-dev@refs/pr/3");
  ASSERT_TRUE(pinned);
  EXPECT_EQ(pinned->name, "FLUX.1-dev");
  EXPECT_EQ(pinned->revision, "refs/pr/3");
}

TEST(ParseModelName, TakesNoPathForAName) {
  for (const char* text :
       {"",     "model",    "/a/b",    "./a/b", "../a", "a/..",   "a/b/c",  "a/b/",
        "~/b",  "a//b",     ".a/b",    "-a/b",  "a/b.", "a/b..c", "a--b/c", "a/b c",
        "a/b@", "a/b@../c", "a/b@c@d", "a/b\n", "a\\b", "a/b@/c", "a/b@.c"}) {
    EXPECT_EQ(parse_model_name(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_model_name(std::string(201, 'a') + "/b"), std::nullopt);
}

TEST(IsRevision, StaysInsideAFolder) {
  for (const char* text : {"main", "v1.0+cpu", "refs/pr/1", "feature/a_b"}) {
    EXPECT_TRUE(is_revision(text)) << text;
  }
  for (const char* text : {"", ".", "..", "a/..", "../a", "/a", "a/", "a//b", "a b", "-a", "a\n"}) {
    EXPECT_FALSE(is_revision(text)) << text;
  }
  EXPECT_FALSE(is_revision(std::string(201, 'a')));
}

TEST(IsCommit, IsFortyHexadecimalDigits) {
  EXPECT_TRUE(is_commit("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789abcdef0123456789abcdef0123456"));
  EXPECT_FALSE(is_commit("0123456789ABCDEF0123456789abcdef01234567"));
}

}  // namespace
}  // namespace zimage::hub
