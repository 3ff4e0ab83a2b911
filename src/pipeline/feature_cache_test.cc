// What is kept, for how long, and who goes first.
#include "pipeline/feature_cache.h"

#include <gtest/gtest.h>

namespace zimage {
namespace {

using Ids = std::vector<std::int32_t>;

// Makes the entry of `ids` known with as many values.
void encode(FeatureCache& cache, const Ids& ids, std::size_t values) {
  BorrowedFeatures borrowed(cache);
  borrowed.borrow(ids).values.assign(values, static_cast<float>(ids.front()));
}

TEST(FeatureCache, GivesBackWhatWasMade) {
  FeatureCache cache(1000);
  EXPECT_FALSE(cache.has(Ids{1, 2}));
  encode(cache, {1, 2}, 10);
  EXPECT_TRUE(cache.has(Ids{1, 2}));
  EXPECT_FALSE(cache.has(Ids{1}));
  EXPECT_FALSE(cache.has(Ids{1, 2, 3}));
  EXPECT_EQ(cache.bytes(), 40U);
  {
    BorrowedFeatures borrowed(cache);
    EXPECT_EQ(borrowed.borrow(Ids{1, 2}).values, std::vector<float>(10, 1));
    EXPECT_EQ(cache.bytes(), 0U);
  }
  EXPECT_EQ(cache.bytes(), 40U);
}

TEST(FeatureCache, KeepsNothingThatWasNotMade) {
  FeatureCache cache(1000);
  {
    BorrowedFeatures borrowed(cache);
    EXPECT_TRUE(borrowed.borrow(Ids{1}).values.empty());
  }
  EXPECT_FALSE(cache.has(Ids{1}));
}

TEST(FeatureCache, DropsTheOneUsedLongestAgo) {
  FeatureCache cache(100);
  encode(cache, {1}, 10);
  encode(cache, {2}, 10);
  BorrowedFeatures(cache).borrow(Ids{1});
  encode(cache, {3}, 10);
  EXPECT_TRUE(cache.has(Ids{1}));
  EXPECT_FALSE(cache.has(Ids{2}));
  EXPECT_TRUE(cache.has(Ids{3}));
  EXPECT_EQ(cache.bytes(), 80U);
  encode(cache, {4}, 26);  // more than there is room for
  EXPECT_EQ(cache.bytes(), 0U);
}

// As where the negative prompt is the prompt itself.
TEST(FeatureCache, KeepsAPromptThatWasTakenTwiceOnce) {
  FeatureCache cache(1000);
  {
    BorrowedFeatures borrowed(cache);
    PromptFeatures& first = borrowed.borrow(Ids{1});
    PromptFeatures& second = borrowed.borrow(Ids{1});
    first.values.assign(10, 1);
    second.values.assign(10, 1);
  }
  EXPECT_EQ(cache.bytes(), 40U);
}

}  // namespace
}  // namespace zimage
