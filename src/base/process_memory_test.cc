// The process's memory grows with what is written and not with what is asked for.
#include "base/process_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

namespace zimage {
namespace {

TEST(ProcessMemory, FollowsWhatIsWritten) {
  constexpr std::size_t kBytes = std::size_t{96} << 20;
  const std::size_t before = resident_memory();
  ASSERT_GT(before, 0U);
  // A mapping of its own: allocators keep what they are given back.
  void* block = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  EXPECT_LE(resident_memory(), before + kBytes / 10);
  std::memset(block, 1, kBytes);
  EXPECT_GE(resident_memory(), before + kBytes / 10 * 9);
  ::munmap(block, kBytes);
  EXPECT_LE(resident_memory(), before + kBytes / 10);
  EXPECT_GE(peak_resident_memory(), before + kBytes / 10 * 9);
}

}  // namespace
}  // namespace zimage
