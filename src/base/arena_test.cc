// Tests of stack allocation: alignment, frames, the peak, and refusals.
#include "base/arena.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "error_of.h"

namespace zimage {
namespace {

using testing::HasSubstr;

constexpr std::size_t kAlign = Arena::kAlignment;

// Memory that is aligned as the arena asks.
class Block {
 public:
  explicit Block(std::size_t bytes) : bytes_(bytes + kAlign) {}
  void* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    return bytes_.data() + (kAlign - address % kAlign) % kAlign;
  }

 private:
  std::vector<std::byte> bytes_;
};

TEST(Arena, RoundsEveryBlockUpToTheAlignment) {
  Block block(4 * kAlign);
  Arena arena(block.data(), 4 * kAlign);
  EXPECT_EQ(arena.allocate(1), block.data());
  EXPECT_EQ(arena.allocate(kAlign), static_cast<std::byte*>(block.data()) + kAlign);
  EXPECT_EQ(arena.allocate(kAlign + 1), static_cast<std::byte*>(block.data()) + 2 * kAlign);
  EXPECT_EQ(arena.used(), 4 * kAlign);
}

TEST(Arena, FramesGiveBackInStackOrderAndThePeakStays) {
  Block block(8 * kAlign);
  Arena arena(block.data(), 8 * kAlign);
  {
    Arena::Frame outer(arena);
    const Tensor first = outer.make(DType::F32, {64});  // kAlign bytes
    void* inner_data = nullptr;
    {
      Arena::Frame inner(arena);
      inner_data = inner.make(DType::BF16, {3, 128}).data;
      EXPECT_EQ(arena.used(), 4 * kAlign);
    }
    EXPECT_EQ(arena.used(), kAlign);
    EXPECT_EQ(outer.make(DType::U8, {1}).data, inner_data);
    EXPECT_EQ(first.data, block.data());
  }
  EXPECT_EQ(arena.used(), 0U);
  EXPECT_EQ(arena.peak(), 4 * kAlign);
  arena.reset_peak();
  EXPECT_EQ(arena.peak(), 0U);
}

TEST(Arena, MeasuringAndRunningNeedTheSameBytes) {
  const auto use = [](Arena& arena) {
    Arena::Frame frame(arena);
    frame.make(DType::F32, {5, 7});
    {
      Arena::Frame inner(arena);
      inner.make(DType::BF16, {1000});
    }
    frame.make(DType::F16, {33});
  };
  Arena plan;
  EXPECT_TRUE(plan.measuring());
  use(plan);
  Block block(plan.peak());
  Arena run(block.data(), plan.peak());
  EXPECT_FALSE(run.measuring());
  use(run);
  EXPECT_EQ(run.peak(), plan.peak());
  Arena smaller(block.data(), plan.peak() - kAlign);
  EXPECT_EQ(error_of([&] { use(smaller); }).code(), ErrorCode::OutOfMemory);
}

TEST(Arena, MeasuredTensorsAreDistinctAndNotAbsent) {
  Arena arena;
  const Tensor a = arena.make(DType::F32, {8});
  const Tensor b = arena.make(DType::F32, {8});
  EXPECT_FALSE(a.empty());
  EXPECT_NE(a.data, b.data);
}

TEST(Arena, ExhaustionSaysWhatWasAskedForAndWhatIsLeft) {
  Block block(2 * kAlign);
  Arena arena(block.data(), 2 * kAlign);
  arena.allocate(kAlign);
  const Error error = error_of([&] { arena.allocate(kAlign + 1); });
  EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
  EXPECT_THAT(error.what(), HasSubstr("512 bytes asked for, 256 of 512 are left"));
  EXPECT_EQ(arena.used(), kAlign);
}

// Without the check, rounding up wraps to 0 and the call succeeds.
TEST(Arena, RefusesSizesThatOverflow) {
  Arena arena;
  arena.allocate(1);
  for (const std::size_t bytes : {std::numeric_limits<std::size_t>::max(), std::size_t{1} << 60}) {
    EXPECT_EQ(error_of([&] { arena.allocate(bytes); }).code(), ErrorCode::OutOfMemory);
  }
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  EXPECT_EQ(error_of([&] { arena.make(DType::F32, {kHuge, kHuge}); }).code(),
            ErrorCode::OutOfMemory);
}

TEST(Arena, MeasuresWhereThingsLieInGivenMemory) {
  Block block(4 * kAlign);
  Arena memory(block.data(), 4 * kAlign);
  Arena measure = Arena::measuring_at(block.data());
  EXPECT_TRUE(measure.measuring());
  for (const std::size_t bytes : {std::size_t{1}, kAlign + 1, std::size_t{7}})
    EXPECT_EQ(measure.allocate(bytes), memory.allocate(bytes));
  measure.allocate(64 * kAlign);  // beyond any memory: nothing is refused
}

TEST(Arena, MovesToOtherMemoryAndKeepsItsPeak) {
  Block small(2 * kAlign);
  Block large(4 * kAlign);
  Arena arena(small.data(), 2 * kAlign);
  {
    Arena::Frame frame(arena);
    frame.make(DType::U8, {2 * kAlign});
  }
  arena.move_to(large.data(), 4 * kAlign);
  EXPECT_EQ(arena.allocate(1), large.data());
  EXPECT_EQ(arena.peak(), 2 * kAlign);
  arena.allocate(3 * kAlign);
  EXPECT_EQ(arena.peak(), 4 * kAlign);
}

}  // namespace
}  // namespace zimage
