// Tests of shapes, dtypes and views.
#include "base/tensor.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <vector>

#include "base/shape.h"

namespace zimage {
namespace {

TEST(Shape, CountsItsElements) {
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape({7}).elements(), 7);
  EXPECT_EQ(Shape({2, 3, 5, 7}).elements(), 210);
  EXPECT_EQ(Shape({2, 0, 5}).elements(), 0);
  EXPECT_EQ(Shape({100000, 100000}).elements(), 10'000'000'000);
}

TEST(Shape, ComparesExtentsAndRank) {
  EXPECT_EQ(Shape({2, 3}), Shape({2, 3}));
  EXPECT_NE(Shape({2, 3}), Shape({3, 2}));
  EXPECT_NE(Shape({2, 3}), Shape({2, 3, 1}));
  EXPECT_NE(Shape(), Shape({1}));
  const std::vector<std::int64_t> extents = {4, 5, 6};
  EXPECT_EQ(Shape(extents), Shape({4, 5, 6}));
}

TEST(Shape, IsWrittenInBrackets) {
  EXPECT_EQ(to_string(Shape()), "[]");
  EXPECT_EQ(to_string(Shape({256, 3840})), "[256, 3840]");
}

TEST(DType, SizesAndNames) {
  EXPECT_EQ(size_of(DType::F32), 4U);
  EXPECT_EQ(size_of(DType::F16), 2U);
  EXPECT_EQ(size_of(DType::BF16), 2U);
  EXPECT_EQ(size_of(DType::I64), 8U);
  EXPECT_EQ(size_of(DType::I32), 4U);
  EXPECT_EQ(size_of(DType::U8), 1U);
  EXPECT_EQ(name_of(DType::BF16), "bf16");
}

class TensorOfTwelve : public testing::Test {
 protected:
  std::array<float, 12> numbers_ = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  Tensor tensor_ = {numbers_.data(), DType::F32, {3, 2, 2}};
};

TEST_F(TensorOfTwelve, KnowsItsSize) {
  EXPECT_TRUE(Tensor().empty());
  EXPECT_FALSE(tensor_.empty());
  EXPECT_EQ(tensor_.dim(0), 3);
  EXPECT_EQ(tensor_.elements(), 12);
  EXPECT_EQ(tensor_.bytes(), 48U);
  EXPECT_EQ((Tensor{nullptr, DType::BF16, {5}}.bytes()), 10U);
}

TEST_F(TensorOfTwelve, RowsShareMemory) {
  const Tensor rows = tensor_.rows(1, 3);
  EXPECT_EQ(rows.shape, Shape({2, 2, 2}));
  EXPECT_EQ(rows.as<float>(), &numbers_[4]);
  EXPECT_EQ(tensor_.rows(3, 3).shape, Shape({0, 2, 2}));
  EXPECT_EQ(tensor_.rows(0, 3).data, tensor_.data);
  EXPECT_EQ((Tensor{numbers_.data(), DType::F32, {0, 4}}.rows(0, 0).shape), Shape({0, 4}));
}

TEST_F(TensorOfTwelve, SlicesAndReshapesShareMemory) {
  const Tensor slice = tensor_.slice(5, 9);
  EXPECT_EQ(slice.shape, Shape({4}));
  EXPECT_EQ(slice.as<float>()[0], 5.0F);
  const Tensor flat = tensor_.reshaped({4, 3});
  EXPECT_EQ(flat.data, tensor_.data);
  EXPECT_EQ(flat.shape, Shape({4, 3}));
}

#ifndef NDEBUG
TEST_F(TensorOfTwelve, WrongUseEndsAProgramWithAssertions) {
  EXPECT_DEATH(static_cast<void>(tensor_.rows(2, 4)), "");
  EXPECT_DEATH(static_cast<void>(tensor_.slice(-1, 4)), "");
  EXPECT_DEATH(static_cast<void>(tensor_.reshaped({5, 3})), "");
  EXPECT_DEATH(static_cast<void>(tensor_.as<std::uint16_t>()), "");
}
#endif

}  // namespace
}  // namespace zimage
