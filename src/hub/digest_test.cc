#include "hub/digest.h"

#include <gmock/gmock.h>

#include <array>

#include "error_of.h"
#include "temp_folder.h"

namespace zimage::hub {
namespace {

using testing::HasSubstr;

constexpr std::array<DigestKind, 3> kAll = {DigestKind::Sha256, DigestKind::GitBlob,
                                            DigestKind::Md5};

std::string digest(DigestKind kind, std::string_view text) {
  Digest sum(kind, text.size());
  // In two pieces.
  sum.add(std::as_bytes(std::span(text)).first(text.size() / 2));
  sum.add(std::as_bytes(std::span(text)).subspan(text.size() / 2));
  return sum.finish();
}

// The expected sums are those of sha256sum, git hash-object and md5sum.
TEST(Digest, AgreesWithTheUsualPrograms) {
  EXPECT_EQ(digest(DigestKind::Sha256, "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest(DigestKind::GitBlob, "abc"), "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f");
  EXPECT_EQ(digest(DigestKind::Md5, "abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(digest(DigestKind::GitBlob, ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(DigestFile, ReadsOnceForAllSumsAndTellsOfTheBytes) {
  const TempFolder folder;
  const std::string text(3'000'000, 'x');
  const auto path = folder.write("file", text);
  std::size_t told = 0;
  const std::vector<std::string> sums =
      digest_file(path, kAll, [&told](std::size_t bytes) { told += bytes; });
  EXPECT_EQ(told, text.size());
  ASSERT_EQ(sums.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(sums[i], digest(kAll[i], text));
}

TEST(DigestFile, SaysWhyItStops) {
  const TempFolder folder;
  const Error missing = error_of([&] { digest_file(folder.path() / "none", kAll); });
  EXPECT_EQ(missing.code(), ErrorCode::NotFound);
  EXPECT_THAT(missing.what(), HasSubstr("none\": No such file"));
  EXPECT_EQ(error_of([&] { digest_file(folder.path(), kAll); }).code(), ErrorCode::Io);
  std::stop_source stop;
  stop.request_stop();
  const auto path = folder.write("file", "x");
  EXPECT_EQ(error_of([&] { digest_file(path, kAll, {}, stop.get_token()); }).code(),
            ErrorCode::Cancelled);
}

}  // namespace
}  // namespace zimage::hub
