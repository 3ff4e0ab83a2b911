// Symbols are a linked list inside one array; a heap holds every merge that is possible.
#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <random>
#include <utility>

namespace zimage {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};

struct Symbol {
  std::int32_t id;  // negative once merged into its left neighbour
  std::uint32_t previous;
  std::uint32_t next;
};

// A merge of the symbol at `position` with the one after it, if neither has changed since.
struct Candidate {
  Merge merge;
  std::uint32_t position;
};

// Orders a heap so that its front has the lowest rank, and the leftmost place among equals.
bool comes_later(const Candidate& a, const Candidate& b) {
  return std::pair(a.merge.rank, a.position) > std::pair(b.merge.rank, b.position);
}

// One word on its way from bytes to tokens.
class Word {
 public:
  Word(const MergeTable& merges, const std::array<std::int32_t, 256>& byte_ids,
       std::string_view bytes)
      : merges_(merges) {
    symbols_.reserve(bytes.size());
    for (const char byte : bytes) {
      const auto at = static_cast<std::uint32_t>(symbols_.size());
      symbols_.push_back({byte_ids[static_cast<std::uint8_t>(byte)], at - 1, at + 1});
    }
    symbols_.back().next = kNone;
    for (std::uint32_t at = 0; at + 1 < symbols_.size(); ++at) add_candidate(at);
    std::make_heap(heap_.begin(), heap_.end(), comes_later);
  }

  void merge_all() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), comes_later);
      const Candidate candidate = heap_.back();
      heap_.pop_back();
      if (still_holds(candidate)) apply(candidate);
    }
  }

  void append_to(std::vector<std::int32_t>& ids) const {
    for (std::uint32_t at = 0; at != kNone; at = symbols_[at].next) ids.push_back(symbols_[at].id);
  }

 private:
  // True when the symbol at `left` merges with the next.
  bool add_candidate(std::uint32_t left) {
    const Symbol& symbol = symbols_[left];
    const Merge* merge = merges_.find(symbol.id, symbols_[symbol.next].id);
    if (merge != nullptr) heap_.push_back({*merge, left});
    return merge != nullptr;
  }

  void push_candidate(std::uint32_t left) {
    if (add_candidate(left)) std::push_heap(heap_.begin(), heap_.end(), comes_later);
  }

  bool still_holds(const Candidate& candidate) const {
    const Symbol& symbol = symbols_[candidate.position];
    if (symbol.id < 0 || symbol.next == kNone) return false;
    const Merge* merge = merges_.find(symbol.id, symbols_[symbol.next].id);
    return merge != nullptr && merge->rank == candidate.merge.rank;
  }

  void apply(const Candidate& candidate) {
    Symbol& symbol = symbols_[candidate.position];
    Symbol& absorbed = symbols_[symbol.next];
    symbol.id = candidate.merge.id;
    symbol.next = absorbed.next;
    absorbed.id = -1;
    if (symbol.next != kNone) {
      symbols_[symbol.next].previous = candidate.position;
      push_candidate(candidate.position);
    }
    if (symbol.previous != kNone) push_candidate(symbol.previous);
  }

  const MergeTable& merges_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

}  // namespace

MergeTable::MergeTable(std::size_t count)
    : slots_(std::bit_ceil(count + count / 2 + 2)), shift_(64 - std::countr_zero(slots_.size())) {
  std::random_device random;
  multiplier_ = (std::uint64_t{random()} << 32 | random()) | 1U;
}

std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  std::size_t slot = static_cast<std::size_t>(pair * multiplier_ >> shift_);
  while (slots_[slot].pair != pair && slots_[slot].pair != kNoPair) {
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return slot;
}

bool MergeTable::insert(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t pair =
      std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  Slot& slot = slots_[slot_of(pair)];
  if (slot.pair == pair) return false;
  slot = {pair, merge};
  return true;
}

const Merge* MergeTable::find(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair =
      std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  const Slot& slot = slots_[slot_of(pair)];
  return slot.pair == pair ? &slot.merge : nullptr;
}

Bpe::Bpe(const std::array<std::int32_t, 256>& byte_ids, MergeTable merges)
    : byte_ids_(byte_ids), merges_(std::move(merges)) {}

void Bpe::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (word.empty()) return;
  Word symbols(merges_, byte_ids_, word);
  symbols.merge_all();
  symbols.append_to(ids);
}

}  // namespace zimage
