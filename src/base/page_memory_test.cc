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

TEST(PageMemory, RefusesWhatNoMachineHas) {
  EXPECT_EQ(error_of([] { PageMemory memory(SIZE_MAX / 2); }).code(), ErrorCode::OutOfMemory);
}

}  // namespace
}  // namespace zimage
