// A file's bytes become a verdict: are they what the hub lists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "hub/digest.h"
#include "hub/listing.h"

namespace zimage::download {

// Counts a file's bytes as they come and sums them the way the listing does: SHA-256, git's SHA-1,
// or not at all where the hub gives neither.
class FileCheck {
 public:
  explicit FileCheck(const hub::ListedFile& file);

  void add(std::string_view bytes);
  std::uint64_t bytes() const { return bytes_; }

  // "3 bytes, expected 5", "its SHA-256 is ..., expected ..."; empty when all is as listed. Called
  // once, at the end.
  std::string problem();

 private:
  std::uint64_t expected_bytes_;
  std::string expected_sum_;  // empty: none is known
  hub::DigestKind kind_;
  std::optional<hub::Digest> digest_;
  std::uint64_t bytes_ = 0;
};

// Tells how many bytes were read since the last call.
using BytesFn = std::function<void(std::uint64_t bytes)>;

// Adds the first `bytes` of the file. Throws Io, and Cancelled when `stop` is set.
void add_file(FileCheck& check, const std::filesystem::path& path, std::uint64_t bytes,
              const BytesFn& read, const std::stop_token& stop);

// FileCheck::problem of a whole file; "absent" when there is none. Throws as add_file does.
std::string problem_of(const std::filesystem::path& path, const hub::ListedFile& file,
                       const BytesFn& read, const std::stop_token& stop);

}  // namespace zimage::download
