// Tokens by their text, while a tokenizer file is read. What enters: views of tokens and their ids;
// what leaves: entries in the order of the file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace zimage {

// An open-addressing table of fixed size over the list of tokens. Its hash is keyed with random
// numbers, so that no file can be made to collide.
class Vocabulary {
 public:
  struct Entry {
    std::string_view token;
    std::int32_t id = 0;
  };

  // Room for `count` tokens.
  explicit Vocabulary(std::size_t count);

  // False, changing nothing, when the token is there already. Keeps the view. Precondition: there
  // is room.
  bool insert(std::string_view token, std::int32_t id);
  // Null when there is no such token; valid for the table's life.
  const Entry* find(std::string_view token) const;
  // The token inserted after `entry`; null when there is none.
  const Entry* next(const Entry* entry) const;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Slot {
    std::uint32_t tag = 0;  // bits of the hash, which spare most comparisons of text
    std::uint32_t entry = kNone;
  };

  std::uint64_t hash_of(std::string_view token) const;
  std::size_t slot_of(std::string_view token, std::uint64_t hash) const;

  std::vector<Slot> slots_;
  std::vector<Entry> entries_;
  std::array<std::uint64_t, 4> keys_{};
};

}  // namespace zimage
