#include "cli/drawing/previews.h"

#include <gtest/gtest.h>

namespace zimage::cli {
namespace {

using Place = PreviewBudget::Place;

TEST(PreviewBudget, LeavesOutWhatComesTooSoon) {
  PreviewBudget budget;
  EXPECT_TRUE(budget.shows(1, Place::Between, 10));
  budget.add(0.5);  // until 60
  EXPECT_FALSE(budget.shows(2, Place::Between, 59));
  EXPECT_TRUE(budget.shows(3, Place::Between, 61));
  budget.add(0.25);
  EXPECT_FALSE(budget.shows(4, Place::Between, 85));
  EXPECT_TRUE(budget.shows(5, Place::Last, 85));
}

TEST(PreviewBudget, ShowsAllPicturesOfAStepOrNone) {
  PreviewBudget budget;
  EXPECT_TRUE(budget.shows(1, Place::Between, 10));
  budget.add(0.5);
  EXPECT_TRUE(budget.shows(1, Place::Between, 11));
  budget.add(0.5);  // until 110
  EXPECT_FALSE(budget.shows(2, Place::Between, 109));
  EXPECT_FALSE(budget.shows(2, Place::Between, 111));
  EXPECT_TRUE(budget.shows(3, Place::Between, 111));
}

}  // namespace
}  // namespace zimage::cli
