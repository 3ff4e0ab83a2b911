// Blocks that repeat.
#include "base/repeated_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "base/process_memory.h"

namespace zimage {
namespace {

std::vector<std::byte> counting(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i % 251);
  return bytes;
}

TEST(RepeatedMemory, RepeatsItsPeriodToTheEnd) {
  const std::vector<std::byte> period = counting(3 * RepeatedMemory::page_size());
  const RepeatedMemory memory(period, 10 * RepeatedMemory::page_size() + 1);
  const std::span<const std::byte> bytes = memory.bytes();
  ASSERT_EQ(bytes.size(), 4 * period.size());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    ASSERT_EQ(bytes[i], period[i % period.size()]) << i;
}

TEST(RepeatedMemory, ReadsTheSameAfterEviction) {
  const std::vector<std::byte> period = counting(RepeatedMemory::page_size());
  RepeatedMemory memory(period, std::size_t{64} << 20);
  unsigned sum = 0;
  for (std::size_t i = 0; i < memory.bytes().size(); i += RepeatedMemory::page_size())
    sum += static_cast<unsigned>(memory.bytes()[i + 7]);
  EXPECT_EQ(sum, 7U * (memory.bytes().size() / RepeatedMemory::page_size()));
  const std::size_t before = resident_memory();
  memory.evict();
  EXPECT_LE(resident_memory() + (std::size_t{60} << 20), before);
  EXPECT_EQ(memory.bytes()[9], std::byte{9});
  const RepeatedMemory moved = std::move(memory);
  EXPECT_EQ(moved.bytes()[10], std::byte{10});
}

}  // namespace
}  // namespace zimage
