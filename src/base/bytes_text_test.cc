// Tests of the units and their edges.
#include "base/bytes_text.h"

#include <gtest/gtest.h>

namespace zimage {
namespace {

TEST(BytesText, PicksTheUnitBySize) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1024), "1.00 KiB");
  EXPECT_EQ(bytes_text(48 * 1024 * 1024 + 512 * 1024), "48.50 MiB");
  EXPECT_EQ(bytes_text(12'305'080'320), "11.46 GiB");
}

}  // namespace
}  // namespace zimage
