// Linear probing; the hash folds 128-bit products of the text and random keys.
#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

namespace zimage {
namespace {

// Both halves of a 128-bit product in one word.
std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  __extension__ using Product = unsigned __int128;
  const Product product = static_cast<Product>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint32_t tag_of(std::uint64_t hash) {
  return static_cast<std::uint32_t>(hash >> 32);
}

}  // namespace

Vocabulary::Vocabulary(std::size_t count) : slots_(std::bit_ceil(count + count / 2 + 2)) {
  entries_.reserve(count);
  std::random_device random;
  for (std::uint64_t& key : keys_) key = std::uint64_t{random()} << 32 | random();
}

bool Vocabulary::insert(std::string_view token, std::int32_t id) {
  const std::uint64_t hash = hash_of(token);
  Slot& slot = slots_[slot_of(token, hash)];
  if (slot.entry != kNone) return false;
  slot = {tag_of(hash), static_cast<std::uint32_t>(entries_.size())};
  entries_.push_back({token, id});
  return true;
}

const Vocabulary::Entry* Vocabulary::find(std::string_view token) const {
  const Slot& slot = slots_[slot_of(token, hash_of(token))];
  return slot.entry == kNone ? nullptr : &entries_[slot.entry];
}

const Vocabulary::Entry* Vocabulary::next(const Entry* entry) const {
  return entry == &entries_.back() ? nullptr : entry + 1;
}

std::uint64_t Vocabulary::hash_of(std::string_view token) const {
  std::uint64_t state = keys_[0] ^ token.size();
  while (!token.empty()) {
    std::array<std::uint64_t, 2> words{};
    const std::size_t bytes = std::min(token.size(), sizeof words);
    std::memcpy(words.data(), token.data(), bytes);
    state = fold(words[0] ^ keys_[1] ^ state, words[1] ^ keys_[2]);
    token.remove_prefix(bytes);
  }
  return fold(state ^ keys_[3], keys_[1]);
}

// Where `token` is, or would be.
std::size_t Vocabulary::slot_of(std::string_view token, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = static_cast<std::size_t>(hash) & mask;
  while (slots_[at].entry != kNone &&
         (slots_[at].tag != tag_of(hash) || entries_[slots_[at].entry].token != token)) {
    at = (at + 1) & mask;
  }
  return at;
}

}  // namespace zimage
