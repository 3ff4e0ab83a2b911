// The heap-driven merging against the definition of byte pair encoding.
#include "tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zimage {
namespace {

using Pair = std::pair<std::int32_t, std::int32_t>;

std::array<std::int32_t, 256> identity_bytes() {
  std::array<std::int32_t, 256> ids{};
  for (std::size_t byte = 0; byte < ids.size(); ++byte) ids[byte] = static_cast<std::int32_t>(byte);
  return ids;
}

// The definition: while any neighbours merge, merge the leftmost pair of the lowest rank.
std::vector<std::int32_t> encode_plainly(const std::map<Pair, Merge>& merges,
                                         std::string_view word) {
  std::vector<std::int32_t> ids;
  for (const char byte : word) ids.push_back(static_cast<std::uint8_t>(byte));
  for (;;) {
    const Merge* best = nullptr;
    std::size_t place = 0;
    for (std::size_t at = 0; at + 1 < ids.size(); ++at) {
      const auto found = merges.find({ids[at], ids[at + 1]});
      if (found == merges.end() || (best != nullptr && found->second.rank >= best->rank)) continue;
      best = &found->second;
      place = at;
    }
    if (best == nullptr) return ids;
    ids[place] = best->id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

// Random merges over three letters, so that words are full of overlapping candidates.
std::map<Pair, Merge> random_merges(std::mt19937& random, std::size_t count) {
  std::map<Pair, Merge> merges;
  std::vector<std::int32_t> ids = {'a', 'b', 'c'};
  for (std::uint32_t rank = 0; rank < count; ++rank) {
    const Pair pair = {ids[random() % ids.size()], ids[random() % ids.size()]};
    const auto id = static_cast<std::int32_t>(256 + rank);
    if (merges.try_emplace(pair, Merge{rank, id}).second) ids.push_back(id);
  }
  return merges;
}

TEST(Bpe, MergesAsTheDefinitionSays) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const std::map<Pair, Merge> merges = random_merges(random, 1 + random() % 60);
    MergeTable table(merges.size());
    for (const auto& [pair, merge] : merges) table.insert(pair.first, pair.second, merge);
    const Bpe bpe(identity_bytes(), std::move(table));
    for (int i = 0; i < 20; ++i) {
      std::string word;
      for (std::size_t length = random() % 40; length > 0; --length) {
        word += static_cast<char>('a' + random() % 3);
      }
      std::vector<std::int32_t> ids;
      bpe.encode(word, ids);
      EXPECT_EQ(ids, encode_plainly(merges, word)) << word;
    }
  }
}

TEST(Bpe, AppendsToWhatIsThere) {
  const Bpe bpe(identity_bytes(), MergeTable(0));
  std::vector<std::int32_t> ids = {7};
  bpe.encode("", ids);
  bpe.encode("\xff\x01", ids);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{7, 255, 1}));
}

// A quadratic encoder takes minutes for this word.
TEST(Bpe, TakesLongWords) {
  MergeTable table(2);
  table.insert('a', 'a', {0, 256});
  table.insert(256, 256, {1, 257});
  const Bpe bpe(identity_bytes(), std::move(table));
  std::vector<std::int32_t> ids;
  bpe.encode(std::string(1000001, 'a'), ids);
  ASSERT_EQ(ids.size(), 250001U);
  EXPECT_EQ(ids.front(), 257);
  EXPECT_EQ(ids.back(), 'a');
}

TEST(MergeTable, FindsWhatWasInserted) {
  constexpr std::int32_t kCount = 5000;
  MergeTable table(kCount);
  int wrong = 0;
  for (std::int32_t i = 0; i < kCount; ++i) {
    if (!table.insert(i, i * 7, {static_cast<std::uint32_t>(i), i + 1})) ++wrong;
  }
  for (std::int32_t i = 0; i < kCount; ++i) {
    const Merge* merge = table.find(i, i * 7);
    if (merge == nullptr || merge->id != i + 1 ||
        merge->rank + 1 != static_cast<std::uint32_t>(merge->id))
      ++wrong;
  }
  EXPECT_EQ(wrong, 0);
}

TEST(MergeTable, TellsPairsApart) {
  MergeTable table(2);
  EXPECT_TRUE(table.insert(3, 21, {0, 4}));
  EXPECT_FALSE(table.insert(3, 21, {9, 9}));
  EXPECT_EQ(table.find(3, 21)->id, 4);
  EXPECT_EQ(table.find(3, 22), nullptr);
  EXPECT_EQ(table.find(21, 3), nullptr);
}

}  // namespace
}  // namespace zimage
