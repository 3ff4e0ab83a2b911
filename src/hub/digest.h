// Bytes, piece by piece, become the sums that the hubs record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace zimage::hub {

enum class DigestKind : std::uint8_t {
  Sha256,
  GitBlob,  // SHA-1 of git's blob: "blob <bytes>\0", then the content
  Md5
};
const char* name_of(DigestKind kind);  // "SHA-256", "git's SHA-1", "MD5"

// One running sum.
class Digest {
 public:
  // `bytes` is the length of all that will be added; only GitBlob, which begins with it, uses it.
  Digest(DigestKind kind, std::uint64_t bytes);
  ~Digest();
  Digest(Digest&& other) noexcept;
  Digest& operator=(Digest&& other) noexcept;
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void add(std::span<const std::byte> bytes);
  // In lower-case hexadecimal digits. Nothing may be added afterwards.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// True for `digits` hexadecimal digits in lower case: a sum, or a commit, as hubs write them.
bool is_hex(std::string_view text, std::size_t digits);

// The sums of a file's content, one for each of `kinds`, in one reading. `on_bytes` is told of each
// piece that was read. Throws NotFound or Io naming the file, Cancelled when `stop` is asked for.
std::vector<std::string> digest_file(const std::filesystem::path& path,
                                     std::span<const DigestKind> kinds,
                                     const std::function<void(std::size_t bytes)>& on_bytes = {},
                                     const std::stop_token& stop = {});

}  // namespace zimage::hub
