// Sections of levels, and windows that cover a map with what its convolutions see.
#include "vae/strips.h"

#include <gtest/gtest.h>

namespace zimage::vae {
namespace {

TEST(CutIntoSections, EndsWhereMapsAreKept) {
  const std::vector<Section> all = cut_into_sections({.rows = 2, .kept = 2}, 3);
  ASSERT_EQ(all.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(all[i].first, i);
    EXPECT_EQ(all[i].end, i + 1);
    EXPECT_EQ(all[i].scale(), 2);
  }
  // Strips of pixels are of 2 rows of latents, 8 of the map that is finer by four; those of each
  // coarser level have the same number of pixels, which is four times as much of the picture.
  EXPECT_EQ(all[2].rows, 8);
  EXPECT_EQ(all[1].rows, 16);
  EXPECT_EQ(all[0].rows, 32);
  const std::vector<Section> one = cut_into_sections({.rows = 2, .kept = 0}, 3);
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].rows, 2);
  EXPECT_EQ(one[0].scale(), 8);
}

TEST(Windows, CoverEveryMapWithWindowsOfOneHeight) {
  for (std::int64_t map = 1; map < 40; ++map) {
    for (std::int64_t rows = 1; rows < 12; ++rows) {
      for (std::int64_t halo = 0; halo < 9; halo += 4) {
        const Windows windows(map, rows, halo);
        std::int64_t reached = 0;
        for (std::int64_t i = 0; i < windows.count(); ++i) {
          const MapRows strip = windows.strip(i);
          const std::int64_t begin = windows.begin(i);
          const std::int64_t end = begin + windows.height();
          ASSERT_GE(begin, 0);
          ASSERT_LE(end, map);
          ASSERT_EQ(strip.of, windows.height());
          ASSERT_EQ(begin + strip.begin, reached);
          ASSERT_EQ(windows.strip_begin(i), reached);
          reached = begin + strip.end;
          ASSERT_TRUE(begin == 0 || strip.begin >= halo);
          ASSERT_TRUE(end == map || end - reached >= halo);
        }
        ASSERT_EQ(reached, map);
      }
    }
  }
}

}  // namespace
}  // namespace zimage::vae
