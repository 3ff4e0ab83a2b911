// Every encoding against the numbers of its own library, and rows and scales that do not fit.
#include "quant/dequantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "base/float8.h"
#include "error_of.h"
#include "golden_file.h"

namespace zimage {
namespace {

using testing::HasSubstr;

const GoldenFile& recorded() {
  static const GoldenFile file(std::filesystem::path(ZIMAGE_SOURCE_DIR) / "tests" / "formats" /
                               "quant_types.safetensors");
  return file;
}

// The tensors of one encoding in the file, owned.
struct Recorded {
  std::vector<std::uint8_t> bytes;
  std::vector<std::uint8_t> block_scale;
  std::vector<float> scale;
  HostTensor tensor;

  explicit Recorded(QuantType type) {
    const std::string name(name_of(type));
    const GoldenFile::Entry& stored = recorded().at(name + ".bytes");
    bytes = bytes_of(stored.values);
    const QuantBlock block = block_of(type);
    const std::int64_t columns =
        stored.shape[1] / static_cast<std::int64_t>(block.bytes) * block.elements;
    tensor = {.stored = {bytes.data(), DType::U8, {static_cast<std::int64_t>(bytes.size())}},
              .shape = {stored.shape[0], columns},
              .type = type};
    if (recorded().entries().contains(name + ".scale")) {
      scale = recorded().values(name + ".scale");
      tensor.scale = {scale.data(), DType::F32, {static_cast<std::int64_t>(scale.size())}};
    }
    if (type == QuantType::Nvfp4) {
      block_scale = bytes_of(recorded().values(name + ".block_scale"));
      tensor.block_scale = {
          block_scale.data(), DType::U8, {static_cast<std::int64_t>(block_scale.size())}};
    }
    if (type == QuantType::Int8) tensor.rotation = 256;
  }

  static std::vector<std::uint8_t> bytes_of(const std::vector<float>& values) {
    return {values.begin(), values.end()};
  }
};

std::vector<float> row_of(const HostTensor& tensor, std::int64_t row) {
  std::vector<float> values(static_cast<std::size_t>(tensor.row_elements()));
  dequantize_rows(values.data(), tensor, row, row + 1);
  return values;
}

// The largest difference, as a share of the largest number. NaNs must meet.
double difference(std::span<const float> found, std::span<const float> expected) {
  EXPECT_EQ(found.size(), expected.size());
  double largest = 0;
  double worst = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(std::isnan(found[i]), std::isnan(expected[i])) << i;
    if (!std::isfinite(expected[i])) continue;
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    worst = std::max(worst, std::abs(static_cast<double>(found[i]) - expected[i]));
  }
  return worst / largest;
}

class GgmlType : public testing::TestWithParam<QuantType> {};

// One rounding of a sum apart where the compiler fuses: 6e-8. A wrong order of nibbles, a scale of
// the wrong group: 1e-1 and more.
TEST_P(GgmlType, HasTheNumbersOfGguf) {
  const Recorded stored(GetParam());
  ASSERT_NO_THROW(check_quantized(stored.tensor, "w"));
  const std::string name(name_of(GetParam()));
  EXPECT_LE(difference(row_of(stored.tensor, 0), recorded().values(name + ".values")), 1.2e-7);
}

INSTANTIATE_TEST_SUITE_P(All, GgmlType,
                         testing::Values(QuantType::Q80, QuantType::Q40, QuantType::Q41,
                                         QuantType::Q50, QuantType::Q51, QuantType::Q2K,
                                         QuantType::Q3K, QuantType::Q4K, QuantType::Q5K,
                                         QuantType::Q6K, QuantType::Iq4Nl, QuantType::Iq4Xs),
                         [](const auto& entry) { return std::string(name_of(entry.param)); });

// All 256 codes, half of them under each of two row scales.
TEST(Fp8, HasTheNumbersOfTorch) {
  for (const QuantType type : {QuantType::Fp8E4M3, QuantType::Fp8E5M2}) {
    const Recorded stored(type);
    ASSERT_NO_THROW(check_quantized(stored.tensor, "w"));
    const std::vector<float>& expected = recorded().values(std::string(name_of(type)) + ".values");
    for (const std::int64_t row : {0, 1}) {
      EXPECT_LE(difference(row_of(stored.tensor, row),
                           std::span(expected).subspan(static_cast<std::size_t>(row * 128), 128)),
                6e-8);
    }
  }
}

TEST(Fp8, WithoutAScaleIsExact) {
  Recorded stored(QuantType::Fp8E5M2);
  stored.tensor.scale = {};
  const std::vector<float> row = row_of(stored.tensor, 0);
  EXPECT_EQ(row[0x3c], 1.0F);
  EXPECT_EQ(row[0x01], 0x1p-16F);
  EXPECT_EQ(row[0x7c], std::numeric_limits<float>::infinity());
  EXPECT_EQ(fp8_e4m3_to_float(0x7e), 448.0F);
  EXPECT_EQ(fp8_e4m3_to_float(0x01), 0x1p-9F);
  EXPECT_TRUE(std::isnan(fp8_e4m3_to_float(0x7f)));
}

// Right: 2e-7, the order of sums. Without the rotation: 1.
TEST(Int8, RotatesBack) {
  const Recorded stored(QuantType::Int8);
  ASSERT_NO_THROW(check_quantized(stored.tensor, "w"));
  const std::vector<float>& expected = recorded().values("int8.values");
  const std::vector<float>& source = recorded().values("int8.source");
  for (std::int64_t row = 0; row < 3; ++row) {
    const std::vector<float> found = row_of(stored.tensor, row);
    const auto at = static_cast<std::size_t>(row) * found.size();
    EXPECT_LE(difference(found, std::span(expected).subspan(at, found.size())), 1e-6);
    EXPECT_LE(difference(found, std::span(source).subspan(at, found.size())), 0.02);
  }
}

// Rows of every part of a tile and of the second tile. With scales read in rows: 1 and more.
TEST(Nvfp4, HasTheNumbersOfComfyKitchen) {
  const Recorded stored(QuantType::Nvfp4);
  ASSERT_NO_THROW(check_quantized(stored.tensor, "w"));
  const std::vector<float>& rows = recorded().values("nvfp4.rows");
  const std::vector<float>& expected = recorded().values("nvfp4.values");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_LE(difference(row_of(stored.tensor, static_cast<std::int64_t>(rows[i])),
                         std::span(expected).subspan(i * 80, 80)),
              1.2e-7)
        << rows[i];
  }
}

// A slice by rows, as a fused matrix is cut, reads the same rows.
TEST(HostTensor, SlicesKeepTheirScales) {
  for (const QuantType type : {QuantType::Fp8E4M3, QuantType::Int8, QuantType::Nvfp4}) {
    const Recorded stored(type);
    const std::int64_t rows = stored.tensor.row_count();
    const HostTensor last = stored.tensor.rows(1, rows).rows(rows - 2, rows - 1);
    EXPECT_EQ(last.shape, Shape({1, stored.tensor.shape[1]}));
    ASSERT_NO_THROW(check_quantized(last, "w"));
    EXPECT_EQ(difference(row_of(last, 0), row_of(stored.tensor, rows - 1)), 0) << name_of(type);
  }
}

TEST(DequantizeRows, WidensPlainNumbers) {
  const std::uint16_t halves[] = {0x3f80, 0xc000};
  EXPECT_THAT(
      row_of(HostTensor::plain({const_cast<std::uint16_t*>(halves), DType::BF16, {1, 2}}), 0),
      testing::ElementsAre(1.0F, -2.0F));
  EXPECT_THAT(row_of(HostTensor::plain({const_cast<std::uint16_t*>(halves), DType::F16, {2}}), 0),
              testing::ElementsAre(1.875F, -2.0F));
  const Error error = error_of(
      [&] { row_of(HostTensor::plain({const_cast<std::uint16_t*>(halves), DType::U8, {2}}), 0); });
  EXPECT_THAT(error.what(), HasSubstr("u8, expected f32, f16 or bf16"));
}

void expect_refused(const HostTensor& tensor, const std::string& finding) {
  const Error error = error_of([&] { check_quantized(tensor, "w"); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
  EXPECT_THAT(error.what(), HasSubstr(finding));
}

TEST(CheckQuantized, RefusesBytesAndScalesThatDoNotFit) {
  Recorded stored(QuantType::Q4K);
  stored.tensor.shape = {1, 500};
  expect_refused(stored.tensor, "w: q4_k [1, 500], expected rows of a multiple of 256");
  stored.tensor.shape = {1, 768};
  expect_refused(stored.tensor, "w: 288 bytes are too few for q4_k [1, 768]");

  Recorded fp8(QuantType::Fp8E4M3);
  std::vector<float> scales(3, 1.0F);
  fp8.tensor.scale = {scales.data(), DType::F32, {3}};
  expect_refused(fp8.tensor, "w: 3 scales, expected 1 or 2");

  Recorded nvfp4(QuantType::Nvfp4);
  nvfp4.tensor.block_scale = nvfp4.tensor.block_scale.slice(0, 5);
  expect_refused(nvfp4.tensor, "w: 5 scales of blocks, expected 2048");

  Recorded int8(QuantType::Int8);
  int8.tensor.rotation = 1024;
  expect_refused(int8.tensor, "groups of 1024, expected a power of 4 that divides its 512 columns");
  int8.tensor.rotation = 128;
  expect_refused(int8.tensor, "groups of 128, expected a power of 4");
}

}  // namespace
}  // namespace zimage
