// Tests of GGUF's reader: a file that the gguf package wrote, and small ones that are wrong.
#include "checkpoint/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "error_of.h"
#include "quant/dequantize.h"

namespace zimage {
namespace {

using testing::HasSubstr;

const std::filesystem::path kTypes =
    std::filesystem::path(ZIMAGE_SOURCE_DIR) / "tests" / "formats" / "types.gguf";

std::vector<float> values_of(const StoredTensor& stored, std::span<const std::byte> file) {
  auto* data = const_cast<std::byte*>(file.data() + stored.begin);
  const auto size = static_cast<std::int64_t>(stored.end - stored.begin);
  const HostTensor tensor =
      stored.type == QuantType::None
          ? HostTensor::plain({data, stored.dtype, stored.shape})
          : HostTensor{
                .stored = {data, DType::U8, {size}}, .shape = stored.shape, .type = stored.type};
  check_quantized(tensor, stored.name);
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  dequantize_rows(values.data(), tensor, 0, tensor.row_count());
  return values;
}

// One rounding of a sum: 1.2e-7 of the largest number. A wrong type, order or place: 1e-1.
TEST(ParseGguf, ReadsEveryTypeThatItsLibraryWrote) {
  const MappedFile file(kTypes);
  std::map<std::string, StoredTensor> tensors;
  for (const StoredTensor& tensor : parse_gguf(file.bytes(), "types.gguf").tensors)
    tensors.emplace(tensor.name, tensor);
  ASSERT_EQ(tensors.size(), 2U * 15);
  for (const auto& [name, tensor] : tensors) {
    if (!name.ends_with(".weight")) continue;
    const std::string type = name.substr(0, name.find('.'));
    EXPECT_EQ(type, tensor.type == QuantType::None ? name_of(tensor.dtype) : name_of(tensor.type));
    const std::vector<float> found = values_of(tensor, file.bytes());
    const std::vector<float> expected = values_of(tensors.at(type + ".expected"), file.bytes());
    ASSERT_EQ(found.size(), expected.size()) << type;
    double largest = 0;
    double worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      largest = std::max<double>(largest, std::abs(expected[i]));
      worst = std::max<double>(worst, std::abs(double{found[i]} - double{expected[i]}));
    }
    EXPECT_LE(worst, 1.2e-7 * largest) << type;
  }
  EXPECT_EQ(tensors.at("f32.weight").shape, Shape({2, 3}));
  EXPECT_EQ(tensors.at("f16.weight").shape, Shape({2, 1, 3}));  // comfy.gguf.orig_shape
  EXPECT_EQ(tensors.at("q4_k.weight").shape, Shape({1, 256}));
}

TEST(ParseGguf, ReadsFactsOfEveryKind) {
  const MappedFile file(kTypes);
  const Json facts = parse_gguf(file.bytes(), "types.gguf").metadata;
  EXPECT_EQ(facts.at("general.architecture"), "lumina2");
  EXPECT_EQ(facts.at("fact.u32"), 7);
  EXPECT_EQ(facts.at("fact.i32"), -7);
  EXPECT_EQ(facts.at("fact.u64"), std::int64_t{1} << 40);
  EXPECT_EQ(facts.at("fact.f32"), 0.5);
  EXPECT_EQ(facts.at("fact.bool"), true);
  EXPECT_EQ(facts.at("fact.texts"), Json({"a", "\u82f9\u679c"}));
  EXPECT_EQ(facts.at("fact.numbers"), Json({1, 2, 3}));
}

// Builds files byte by byte.
class Bytes {
 public:
  template <typename T>
  Bytes& add(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& text(const std::string& text) {
    add(std::uint64_t{text.size()});
    bytes_ += text;
    return *this;
  }
  // Magic, version 3 and the two counts.
  Bytes& head(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    bytes_ += "GGUF";
    return add(version).add(tensors).add(keys);
  }
  Bytes& tensor(const std::string& name, std::uint64_t columns, std::uint32_t type,
                std::uint64_t offset) {
    return text(name).add(std::uint32_t{1}).add(columns).add(type).add(offset);
  }
  // To the next multiple of 32, then `size` zeros.
  Bytes& data(std::size_t size) {
    bytes_.resize((bytes_.size() + 31) / 32 * 32 + size);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

void expect_refused(const Bytes& file, ErrorCode code, const std::string& finding) {
  const Error error =
      error_of([&] { parse_gguf(std::as_bytes(std::span(file.bytes())), "m.gguf"); });
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_THAT(error.what(), testing::AllOf(testing::StartsWith("m.gguf"), HasSubstr(finding)));
}

TEST(ParseGguf, RefusesHeadersThatLie) {
  const auto invalid = ErrorCode::InvalidFile;
  expect_refused(Bytes().add(std::uint32_t{1}), invalid, "does not begin with GGUF");
  expect_refused(Bytes().head(1, 0, 1), ErrorCode::Unsupported, "version 1, expected 2 or 3");
  expect_refused(Bytes().head(0, 0, 0x03000000), ErrorCode::Unsupported, "big-endian");
  expect_refused(Bytes().head(std::uint64_t{1} << 60, 0), invalid, "tensors, expected at most");
  expect_refused(Bytes().head(0, 1).text("a").add(std::uint32_t{13}), invalid, "type 13");
  expect_refused(Bytes().head(0, 1).add(std::uint64_t{1} << 63).data(32), invalid, "a text of");
  expect_refused(Bytes()
                     .head(0, 2)
                     .text("a")
                     .add(std::uint32_t{4})
                     .add(std::uint32_t{1})
                     .text("a")
                     .add(std::uint32_t{4})
                     .add(std::uint32_t{1}),
                 invalid, "key \"a\" is there twice");
  expect_refused(Bytes()
                     .head(0, 1)
                     .text("a")
                     .add(std::uint32_t{9})
                     .add(std::uint32_t{4})
                     .add(std::uint64_t{1} << 61),
                 invalid, "values of an array");
  expect_refused(Bytes().head(0, 1).text("split.count").add(std::uint32_t{4}).add(std::uint32_t{3}),
                 ErrorCode::Unsupported, "one of 3 files");
}

TEST(ParseGguf, RefusesTensorsThatDoNotFit) {
  const auto invalid = ErrorCode::InvalidFile;
  EXPECT_EQ(
      parse_gguf(std::as_bytes(std::span(Bytes().head(1, 0).tensor("w", 8, 0, 0).data(32).bytes())),
                 "m.gguf")
          .tensors.size(),
      1U);
  expect_refused(Bytes().head(1, 0).tensor("w", 8, 0, 0).data(31), invalid, "truncated");
  expect_refused(Bytes().head(1, 0).tensor("w", 8, 16, 0).data(32), ErrorCode::Unsupported,
                 "tensor \"w\": ggml type 16");
  expect_refused(Bytes().head(1, 0).tensor("w", 8, 8, 0).data(64), invalid,
                 "q8_0 [8], expected rows of a multiple of 32");
  expect_refused(Bytes().head(1, 0).tensor("w", std::uint64_t{1} << 62, 0, 0).data(64), invalid,
                 "too large");
  // [2^62, 2^62, 0]: no bytes, and more elements on the way than can be counted.
  expect_refused(Bytes()
                     .head(1, 0)
                     .text("w")
                     .add(std::uint32_t{3})
                     .add(std::uint64_t{0})
                     .add(std::uint64_t{1} << 62)
                     .add(std::uint64_t{1} << 62)
                     .add(std::uint32_t{0})
                     .add(std::uint64_t{0})
                     .data(64),
                 invalid, "too large");
  expect_refused(Bytes().head(2, 0).tensor("a", 8, 0, 0).tensor("b", 8, 0, 16).data(64), invalid,
                 "tensors \"a\" and \"b\" overlap");
  expect_refused(Bytes().head(2, 0).tensor("a", 8, 0, 0).tensor("a", 8, 0, 32).data(64), invalid,
                 "tensor \"a\" is there twice");
  expect_refused(Bytes().head(1, 0).tensor("w", 8, 0, ~std::uint64_t{0} - 8).data(64), invalid,
                 "offset");
}

}  // namespace
}  // namespace zimage
