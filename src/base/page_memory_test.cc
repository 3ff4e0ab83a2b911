#include "base/page_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "error_of.h"

namespace zimage {
namespace {

TEST(PageMemory, HoldsWhatIsWritten) {
  PageMemory memory(5000);
  std::memset(memory.data(), 7, 5000);
  const PageMemory moved = std::move(memory);
  EXPECT_EQ(static_cast<const std::uint8_t*>(moved.data())[4999], 7);
  EXPECT_EQ(PageMemory(0).data(), nullptr);
}

// Small pages would lie at any multiple of 4 KiB.
TEST(PageMemory, LargeOnesBeginAtAHugePage) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const PageMemory memories[] = {PageMemory(kHugePage), PageMemory(3 * kHugePage + 5)};
  for (const PageMemory& memory : memories) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % kHugePage, 0U);
    EXPECT_EQ(static_cast<const std::uint8_t*>(memory.data())[kHugePage - 1], 0);
  }
}

TEST(PageMemory, RefusesWhatNoMachineHas) {
  EXPECT_EQ(error_of([] { PageMemory memory(SIZE_MAX / 2); }).code(), ErrorCode::OutOfMemory);
}

}  // namespace
}  // namespace zimage
