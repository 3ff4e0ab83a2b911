// Holds size and sum against the listing.
#include "download/file_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/quote.h"

namespace zimage::download {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = 1 << 20;

[[noreturn]] void refuse(const fs::path& path, int error) {
  throw Error(ErrorCode::Io,
              quote(path.string()) + " cannot be read: " + std::system_category().message(error));
}

std::string size_problem(std::uint64_t found, std::uint64_t expected) {
  if (found == expected) return {};
  return std::to_string(found) + " bytes, expected " + std::to_string(expected);
}

}  // namespace

FileCheck::FileCheck(const hub::ListedFile& file)
    : expected_bytes_(file.bytes),
      expected_sum_(file.sha256.empty() ? file.git_sha1 : file.sha256),
      kind_(file.sha256.empty() ? hub::DigestKind::GitBlob : hub::DigestKind::Sha256) {
  if (!expected_sum_.empty()) digest_.emplace(kind_, expected_bytes_);
}

void FileCheck::add(std::string_view bytes) {
  bytes_ += bytes.size();
  if (digest_) digest_->add(std::as_bytes(std::span(bytes)));
}

std::string FileCheck::problem() {
  std::string problem = size_problem(bytes_, expected_bytes_);
  if (!problem.empty() || !digest_) return problem;
  const std::string found = digest_->finish();
  if (found == expected_sum_) return {};
  return std::string("its ") + hub::name_of(kind_) + " is " + found + ", expected " + expected_sum_;
}

void add_file(FileCheck& check, const fs::path& path, std::uint64_t bytes, const BytesFn& read,
              const std::stop_token& stop) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) refuse(path, errno);
  const std::unique_ptr<const int, void (*)(const int*)> closer(
      &file, [](const int* open_file) { ::close(*open_file); });
  std::vector<char> piece(std::min<std::uint64_t>(kPiece, bytes));
  while (bytes > 0) {
    if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "interrupted");
    const ssize_t got = ::read(file, piece.data(), std::min<std::uint64_t>(piece.size(), bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse(path, errno);
    if (got == 0) return;
    const auto count = static_cast<std::size_t>(got);
    check.add({piece.data(), count});
    read(count);
    bytes -= count;
  }
}

std::string problem_of(const fs::path& path, const hub::ListedFile& file, const BytesFn& read,
                       const std::stop_token& stop) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return "absent";
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) refuse(path, error.value());
  if (std::string problem = size_problem(size, file.bytes); !problem.empty()) return problem;
  FileCheck check(file);
  add_file(check, path, file.bytes, read, stop);
  return check.problem();
}

}  // namespace zimage::download
