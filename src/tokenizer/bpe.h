// Byte pair encoding of one word. What enters: bytes; what leaves: token ids, by the ranks of a
// merge list. Follows the BPE model of huggingface/tokenizers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace zimage {

// Two neighbouring tokens become token `id`; of several possible merges the lowest rank comes
// first.
struct Merge {
  std::uint32_t rank = 0;
  std::int32_t id = 0;
};

// Merges by their pair: an open-addressing table of fixed size. Its hash is keyed with random
// numbers, so that no file can be made to collide.
class MergeTable {
 public:
  // Room for `count` merges.
  explicit MergeTable(std::size_t count);

  // False, changing nothing, when the pair is there already. Precondition: ids are not negative,
  // and there is room.
  bool insert(std::int32_t left, std::int32_t right, Merge merge);
  // Null when the pair does not merge; valid until the next insert().
  const Merge* find(std::int32_t left, std::int32_t right) const;

 private:
  struct Slot {
    std::uint64_t pair = kNoPair;
    Merge merge;
  };
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};

  std::size_t slot_of(std::uint64_t pair) const;

  std::vector<Slot> slots_;
  std::uint64_t multiplier_;
  int shift_;
};

class Bpe {
 public:
  // `byte_ids` are the tokens of the 256 single bytes.
  Bpe(const std::array<std::int32_t, 256>& byte_ids, MergeTable merges);

  // Appends the ids of `word` to `ids`, in time n log n of its length. Precondition: under 2^31
  // bytes.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  std::array<std::int32_t, 256> byte_ids_;
  MergeTable merges_;
};

}  // namespace zimage
