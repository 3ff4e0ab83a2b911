// Tests of the header's checks: small files, each wrong in one way.
#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>

#include <span>
#include <string>
#include <string_view>

#include "error_of.h"
#include "safetensors_text.h"

namespace zimage {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<StoredTensor> parse(std::string_view bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "m.safetensors").tensors;
}

// Expects that the file is refused with `code` and a message that begins with its name and holds
// `finding`.
void expect_refused(std::string_view bytes, ErrorCode code, const std::string& finding) {
  const Error error = error_of([&] { parse(bytes); });
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_THAT(error.what(), AllOf(testing::StartsWith("m.safetensors: "), HasSubstr(finding)));
}

void expect_invalid(std::string_view bytes, const std::string& finding) {
  expect_refused(bytes, ErrorCode::InvalidFile, finding);
}

// A header with the one tensor "w".
std::string header_of(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return R"({"w": {"dtype": ")" + std::string(dtype) + R"(", "shape": )" + std::string(shape) +
         R"(, "data_offsets": )" + std::string(offsets) + "}}";
}

TEST(ParseSafetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  const std::string header =
      R"({"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [8, 20]},
          "__metadata__": {"format": "pt"},
          "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
          "scalar": {"dtype": "I64", "shape": [], "data_offsets": [20, 28]},
          "void": {"dtype": "F16", "shape": [0, 5], "data_offsets": [20, 20]}}  )";
  const std::vector<StoredTensor> tensors = parse(safetensors_text(header, std::string(28, '\0')));
  const std::uint64_t data = 8 + header.size();
  ASSERT_EQ(tensors.size(), 4U);
  EXPECT_EQ(tensors[0].name, "b");
  EXPECT_EQ(tensors[0].dtype, DType::F32);
  EXPECT_EQ(tensors[0].begin, data);
  EXPECT_EQ(tensors[0].end, data + 8);
  EXPECT_EQ(tensors[1].name, "a");
  EXPECT_EQ(tensors[1].shape, Shape({2, 3}));
  EXPECT_EQ(tensors[2].name, "void");
  EXPECT_EQ(tensors[2].begin, tensors[2].end);
  EXPECT_EQ(tensors[3].name, "scalar");
  EXPECT_EQ(tensors[3].shape, Shape());
  EXPECT_EQ(tensors[3].end, data + 28);
}

TEST(ParseSafetensors, ReadsEveryDTypeOfTheEngine) {
  const auto dtype_of = [](std::string_view name, std::size_t size) {
    const std::string offsets = "[0, " + std::to_string(size) + "]";
    return parse(safetensors_text(header_of(name, "[1]", offsets), std::string(size, '\0')))[0]
        .dtype;
  };
  EXPECT_EQ(dtype_of("F32", 4), DType::F32);
  EXPECT_EQ(dtype_of("F16", 2), DType::F16);
  EXPECT_EQ(dtype_of("BF16", 2), DType::BF16);
  EXPECT_EQ(dtype_of("I64", 8), DType::I64);
  EXPECT_EQ(dtype_of("I32", 4), DType::I32);
  EXPECT_EQ(dtype_of("U8", 1), DType::U8);
}

TEST(ParseSafetensors, AFileWithoutTensorsIsOne) {
  EXPECT_TRUE(parse(safetensors_text("{}", "")).empty());
  EXPECT_TRUE(parse(safetensors_text(R"({"__metadata__": {}})", "")).empty());
}

TEST(ParseSafetensors, RefusesAFileWithoutARoomyHeader) {
  expect_invalid("", "0 bytes, expected at least 8");
  expect_invalid("1234567", "7 bytes, expected at least 8");
  expect_invalid(std::string(8, '\0'), "does not begin with \"{\"");
  expect_invalid(safetensors_text(" {}", ""), "does not begin with \"{\"");
  expect_invalid("<!DOCTYPE html><html>", "not a safetensors file: it says that its header has");
}

TEST(ParseSafetensors, RefusesAHeaderLargerThanTheFileOrTheLimit) {
  std::string bytes = safetensors_text("{}", "");
  bytes[0] = 3;
  expect_invalid(bytes, "truncated: expected a header of 3 bytes, found 2");
  bytes.replace(0, 8, "\x01\xe1\xf5\x05\x00\x00\x00\x00", 8);  // 100'000'001
  expect_invalid(bytes, "header has 100000001 bytes, expected at most 100000000");
  bytes.replace(0, 8, 8, '\xff');
  expect_invalid(bytes, "header has 18446744073709551615 bytes");
}

TEST(ParseSafetensors, RefusesAHeaderThatIsNotItsJson) {
  expect_invalid(safetensors_text("{\"w\": ", ""), "header: not valid JSON");
  expect_invalid(safetensors_text("{} x", ""), "header: not valid JSON");
  expect_invalid(safetensors_text(std::string_view("{}\0\0", 4), ""), "holds a NUL byte");
  expect_invalid(safetensors_text("{\"\xff\": 1}", ""), "header: not valid JSON");
  expect_invalid(safetensors_text(R"({"w": [1]})", ""),
                 "tensor \"w\": expected a JSON object, found array");
  expect_invalid(safetensors_text(R"({"w": {}})", ""), "tensor \"w\": \"dtype\" is missing");
  expect_invalid(safetensors_text(R"({"w": {"dtype": "F32"}})", ""), "\"shape\" is missing");
  expect_invalid(safetensors_text(header_of("F32", "[1.5]", "[0, 4]"), "1234"),
                 "\"shape\" is number, expected an integer");
  expect_invalid(safetensors_text(R"({"__metadata__": {"a": 1}})", ""),
                 "__metadata__: \"a\" is number, expected a string");
  expect_invalid(safetensors_text(R"({"__metadata__": "a"})", ""), "expected a JSON object");
}

TEST(ParseSafetensors, RefusesATensorThatIsNamedTwice) {
  const std::string entry = R"("w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]})";
  expect_invalid(safetensors_text("{" + entry + ", " + entry + "}", "1"), "\"w\" occurs twice");
}

TEST(ParseSafetensors, RefusesDTypesItDoesNotHave) {
  expect_refused(
      safetensors_text(header_of("F8_E8M0", "[4]", "[0, 4]"), "1234"), ErrorCode::Unsupported,
      "tensor \"w\": dtype F8_E8M0, expected F32, F16, BF16, F8_E4M3, F8_E5M2, I64, I32, "
      "I8 or U8");
  expect_refused(safetensors_text(header_of("F64", "[1]", "[0, 8]"), "12345678"),
                 ErrorCode::Unsupported, "dtype F64");
  expect_invalid(safetensors_text(header_of("float", "[1]", "[0, 4]"), "1234"),
                 "tensor \"w\": unknown dtype \"float\"");
}

TEST(ParseSafetensors, RefusesShapesWithoutMeaning) {
  expect_invalid(safetensors_text(header_of("U8", "[-1]", "[0, 1]"), "1"), "negative extent -1");
  expect_refused(safetensors_text(header_of("U8", "[1, 1, 1, 1, 1]", "[0, 1]"), "1"),
                 ErrorCode::Unsupported, "5 axes, expected at most 4");
  // Products of 2^64 and 2^63 + ...: both wrap to small numbers without the check.
  expect_invalid(safetensors_text(header_of("U8", "[4294967296, 4294967296]", "[0, 0]"), ""),
                 "too large for any memory");
  expect_invalid(safetensors_text(header_of("F32", "[4611686018427387905]", "[0, 4]"), "1234"),
                 "too large for any memory");
  expect_invalid(safetensors_text(header_of("U8", "[4294967296, 4294967296, 0]", "[0, 0]"), ""),
                 "too large for any memory");
}

TEST(ParseSafetensors, RefusesOffsetsThatDoNotFitTheTensor) {
  expect_invalid(safetensors_text(header_of("F32", "[1]", "[4, 0]"), "1234"),
                 "tensor \"w\": data_offsets [4, 0], expected 0 <= begin <= end");
  expect_invalid(safetensors_text(header_of("F32", "[1]", "[-4, 0]"), "1234"),
                 "expected 0 <= begin <= end");
  expect_invalid(safetensors_text(header_of("F32", "[1]", "[0]"), "1234"), "has 1 numbers");
  expect_invalid(safetensors_text(header_of("F32", "[1]", "[0, 4, 8]"), "1234"), "has 3 numbers");
  expect_invalid(safetensors_text(header_of("F32", "[2, 3]", "[0, 12]"), "123456789012"),
                 "data_offsets [0, 12] holds 12 bytes, expected 24 for f32 [2, 3]");
  expect_invalid(safetensors_text(header_of("U8", "[1]", "[0, 18446744073709551615]"), "1"),
                 "\"data_offsets\" is too large");
}

TEST(ParseSafetensors, NamesExpectedAndFoundBytesOfATruncatedFile) {
  const std::string whole =
      safetensors_text({{"a", "F32", "[2]", "12345678"}, {"b", "F32", "[1]", "1234"}});
  EXPECT_EQ(parse(whole).size(), 2U);
  for (std::size_t cut = 1; cut <= 12; ++cut) {
    expect_invalid(std::string_view(whole).substr(0, whole.size() - cut),
                   "expected " + std::to_string(whole.size()) + " bytes, found " +
                       std::to_string(whole.size() - cut) + "; tensor \"b\" ends outside");
  }
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(parse(std::string_view(whole).substr(0, size)), Error) << size;
  }
}

TEST(ParseSafetensors, RefusesOffsetsFarOutsideTheFile) {
  expect_invalid(
      safetensors_text(header_of("U8", "[9223372036854775807]", "[0, 9223372036854775807]"), "1"),
      "ends outside the file");
}

TEST(ParseSafetensors, RefusesTensorsThatOverlap) {
  const std::string header =
      R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
          "b": {"dtype": "U8", "shape": [4], "data_offsets": [3, 7]}})";
  expect_invalid(safetensors_text(header, "1234567"), "tensors \"a\" and \"b\" overlap");
  const std::string same =
      R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
          "b": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}})";
  expect_invalid(safetensors_text(same, "1234"), "overlap");
  const std::string inside =
      R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
          "b": {"dtype": "U8", "shape": [0], "data_offsets": [2, 2]}})";
  expect_invalid(safetensors_text(inside, "1234"), "overlap");
}

TEST(ParseSafetensors, RefusesBytesThatBelongToNoTensor) {
  const std::string header =
      R"({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
          "b": {"dtype": "U8", "shape": [2], "data_offsets": [5, 7]}})";
  expect_invalid(safetensors_text(header, "1234567"), "3 bytes before tensor \"b\"");
  expect_invalid(safetensors_text(header_of("U8", "[2]", "[1, 3]"), "123"),
                 "1 bytes before tensor \"w\"");
  expect_invalid(safetensors_text(header_of("U8", "[2]", "[0, 2]"), "123"),
                 "1 bytes after the last tensor");
  expect_invalid(safetensors_text("{}", "1"), "1 bytes after the last tensor");
}

TEST(ParseSafetensors, NamesAGitLfsPointer) {
  expect_invalid(
      "version https://git-lfs.github.com/spec/v1\noid sha256:aba4e37a\nsize 4670000000\n",
      "a Git LFS pointer");
}

TEST(ParseSafetensors, ANameCannotSteerTheTerminal) {
  expect_invalid(safetensors_text("{\"\\u001b[2Jw\": 1}", ""), "tensor \"\\x1b[2Jw\"");
}

}  // namespace
}  // namespace zimage
