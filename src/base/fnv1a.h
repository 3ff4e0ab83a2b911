// A sum by which names and small files are told apart; no protection against whoever wants two
// equal ones. Source: FNV-1a of 64 bits, RFC 9923.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace zimage {

class Fnv1a {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes)
      value_ = (value_ ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3ULL;
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

}  // namespace zimage
