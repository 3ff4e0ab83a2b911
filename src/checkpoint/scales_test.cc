// Layers with their scales as ComfyUI's files hold them, against the numbers that torch and
// comfy_kitchen make of them, and scales that do not fit.
#include "checkpoint/scales.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "error_of.h"
#include "quant/dequantize.h"
#include "safetensors_text.h"
#include "temp_folder.h"

namespace zimage {
namespace {

using testing::HasSubstr;

// One of the files of tests/formats, opened as a part.
class PartOfFile {
 public:
  explicit PartOfFile(const char* name) : part_(open(folder_, name)) {}
  const CheckpointPart& part() const { return part_; }

  // The largest difference of a layer from the file's own numbers, as a share of the largest.
  double difference(const std::string& layer) const {
    const HostTensor& weight = part_.tensor(layer + ".weight");
    const HostTensor& expected = part_.tensor(layer + ".expected");
    EXPECT_EQ(weight.shape, expected.shape) << layer;
    std::vector<float> values(static_cast<std::size_t>(weight.elements()));
    dequantize_rows(values.data(), weight, 0, weight.row_count());
    double largest = 0;
    double worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double number = expected.stored.as<float>()[i];
      largest = std::max(largest, std::abs(number));
      worst = std::max(worst, std::abs(values[i] - number));
    }
    return worst / largest;
  }

 private:
  static CheckpointPart open(const TempFolder& folder, const char* name) {
    folder.write("config.json", "{}");
    std::filesystem::copy_file(
        std::filesystem::path(ZIMAGE_SOURCE_DIR) / "tests" / "formats" / name,
        folder.path() / "model.safetensors");
    return CheckpointPart::open(folder.path());
  }

  TempFolder folder_;
  CheckpointPart part_;
};

// A product rounded to f32: 6e-8; rotated int8: 1e-6. A scale left out or of another row: 1e-1.
TEST(AttachScales, GivesEachLayerItsNumbers) {
  const PartOfFile file("layers.safetensors");
  const std::pair<const char*, const char*> layers[] = {
      {"e4m3", "fp8_e4m3"},   {"e5m2", "fp8_e5m2"}, {"int8", "int8"},      {"nvfp4", "nvfp4"},
      {"listed", "fp8_e4m3"}, {"rows", "fp8_e5m2"}, {"plain", "fp8_e4m3"}, {"half", "f16"}};
  for (const auto& [layer, type] : layers) {
    EXPECT_EQ(file.part().tensor(layer + std::string(".weight")).type_name(), type);
    EXPECT_LE(file.difference(layer), 2e-6) << layer;
  }
  // A weight and its numbers each, one bias, and nothing of the scales and marks.
  EXPECT_EQ(file.part().tensors().size(), 2 * std::size(layers) + 1);
}

TEST(AttachScales, ReadsTheOlderSpelling) {
  const PartOfFile file("scaled_fp8.safetensors");
  EXPECT_LE(file.difference("a"), 1e-7);
  EXPECT_EQ(file.part().tensors().size(), 2U);
}

void expect_refused(const std::vector<TensorText>& tensors, ErrorCode code,
                    const std::string& finding) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("m.safetensors", safetensors_text(tensors));
  const Error error = error_of([&] { CheckpointPart::open(folder.path()); });
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_THAT(error.what(), HasSubstr("m.safetensors: tensor \"a."));
  EXPECT_THAT(error.what(), HasSubstr(finding));
}

TensorText mark(const std::string& json) {
  return {"a.comfy_quant", "U8", "[" + std::to_string(json.size()) + "]", json};
}

TEST(AttachScales, RefusesWhatDoesNotFit) {
  const TensorText fp8{"a.weight", "F8_E4M3", "[2, 2]", "1234"};
  expect_refused({fp8, mark(R"({"format": "mxfp8"})")}, ErrorCode::Unsupported,
                 "format \"mxfp8\", expected float8_e4m3fn");
  expect_refused({fp8, mark(R"({"format": )")}, ErrorCode::InvalidFile, "a.comfy_quant");
  expect_refused({fp8, mark(R"({"format": "float8_e5m2"})")}, ErrorCode::InvalidFile,
                 "stored as fp8_e4m3, expected fp8_e5m2");
  expect_refused({fp8, {"a.weight_scale", "F32", "[3]", "123412341234"}}, ErrorCode::InvalidFile,
                 "3 scales, expected 1 or 2");
  expect_refused({fp8, {"a.weight_scale", "F8_E4M3", "[1]", "1"}}, ErrorCode::InvalidFile,
                 "its scale is fp8_e4m3 [1], expected f32");
  expect_refused({{"a.weight", "I8", "[2, 2]", "1234"}}, ErrorCode::InvalidFile,
                 "int8 without a weight_scale");
  const TensorText nvfp4{"a.weight", "U8", "[1, 8]", "12345678"};
  expect_refused({nvfp4, mark(R"({"format": "nvfp4"})")}, ErrorCode::InvalidFile,
                 "expected a matrix in nvfp4 with a weight_scale");
  expect_refused(
      {nvfp4, mark(R"({"format": "nvfp4"})"), {"a.weight_scale", "F8_E4M3", "[1, 1]", "1"}},
      ErrorCode::InvalidFile, "1 scales of blocks, expected 512");
  expect_refused({{"a.weight", "I8", "[1, 8]", "12345678"},
                  mark(R"({"format": "int8_tensorwise", "convrot": true})"),
                  {"a.weight_scale", "F32", "[]", "1234"}},
                 ErrorCode::InvalidFile, "rotated in groups of 256");
}

}  // namespace
}  // namespace zimage
