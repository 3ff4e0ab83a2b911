// OpenSSL's digests, which use the processor's instructions for them.
#include "hub/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/quote.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

// Large enough to hide the calls, small enough to stay in a processor's cache.
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

const EVP_MD* algorithm_of(DigestKind kind) {
  switch (kind) {
    case DigestKind::Sha256: return EVP_sha256();
    case DigestKind::GitBlob: return EVP_sha1();
    case DigestKind::Md5: return EVP_md5();
  }
  return nullptr;
}

// OpenSSL fails for want of memory, or where a policy forbids an algorithm.
void require(int result, const char* what) {
  if (result != 1) throw std::runtime_error(std::string("OpenSSL: ") + what + " failed");
}

// An open file, closed once.
class ReadFile {
 public:
  explicit ReadFile(const fs::path& path) : path_(path) {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fail(errno == ENOENT ? ErrorCode::NotFound : ErrorCode::Io);
  }
  ~ReadFile() { ::close(fd_); }
  ReadFile(const ReadFile&) = delete;
  ReadFile& operator=(const ReadFile&) = delete;

  std::uint64_t bytes() const {
    struct stat status{};
    if (::fstat(fd_, &status) != 0) fail(ErrorCode::Io);
    return static_cast<std::uint64_t>(status.st_size);
  }
  // The next bytes; empty at the end.
  std::span<const std::byte> next(std::span<std::byte> buffer) const {
    while (true) {
      const ssize_t count = ::read(fd_, buffer.data(), buffer.size());
      if (count >= 0) return buffer.first(static_cast<std::size_t>(count));
      if (errno != EINTR) fail(ErrorCode::Io);
    }
  }

 private:
  [[noreturn]] void fail(ErrorCode code) const {
    throw Error(code, "cannot read " + quote(path_.string()) + ": " +
                          std::system_category().message(errno));
  }

  const fs::path& path_;
  int fd_ = -1;
};

}  // namespace

struct Digest::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free};
};

bool is_hex(std::string_view text, std::size_t digits) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return text.size() == digits && std::ranges::all_of(text, is_digit);
}

const char* name_of(DigestKind kind) {
  switch (kind) {
    case DigestKind::Sha256: return "SHA-256";
    case DigestKind::GitBlob: return "git's SHA-1";
    case DigestKind::Md5: return "MD5";
  }
  return "";
}

Digest::Digest(DigestKind kind, std::uint64_t bytes) : state_(std::make_unique<State>()) {
  require(state_->context != nullptr ? 1 : 0, "EVP_MD_CTX_new");
  require(EVP_DigestInit_ex(state_->context.get(), algorithm_of(kind), nullptr),
          "EVP_DigestInit_ex");
  if (kind == DigestKind::GitBlob) {
    const std::string header = "blob " + std::to_string(bytes);
    add(std::as_bytes(std::span(header.c_str(), header.size() + 1)));
  }
}

Digest::~Digest() = default;
Digest::Digest(Digest&& other) noexcept = default;
Digest& Digest::operator=(Digest&& other) noexcept = default;

void Digest::add(std::span<const std::byte> bytes) {
  require(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()), "EVP_DigestUpdate");
}

std::string Digest::finish() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned int size = 0;
  require(EVP_DigestFinal_ex(state_->context.get(), sum.data(), &size), "EVP_DigestFinal_ex");
  std::string text;
  for (const unsigned char byte : std::span(sum).first(size)) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::vector<std::string> digest_file(const fs::path& path, std::span<const DigestKind> kinds,
                                     const std::function<void(std::size_t bytes)>& on_bytes,
                                     const std::stop_token& stop) {
  const ReadFile file(path);
  const std::uint64_t bytes = file.bytes();
  std::vector<Digest> digests;
  digests.reserve(kinds.size());
  for (const DigestKind kind : kinds) digests.emplace_back(kind, bytes);
  std::vector<std::byte> buffer(kPieceBytes);
  while (true) {
    if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "interrupted");
    const std::span<const std::byte> piece = file.next(buffer);
    if (piece.empty()) break;
    for (Digest& digest : digests) digest.add(piece);
    if (on_bytes) on_bytes(piece.size());
  }
  std::vector<std::string> sums;
  sums.reserve(digests.size());
  for (Digest& digest : digests) sums.push_back(digest.finish());
  return sums;
}

}  // namespace zimage::hub
