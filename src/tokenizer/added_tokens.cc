// The sorted list is read as a trie: one more byte of text narrows the range of tokens that still
// fit.
#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

namespace zimage {
namespace {

std::uint8_t byte_at(const std::string& text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
  const auto end =
      std::unique(tokens_.begin(), tokens_.end(),
                  [](const AddedToken& a, const AddedToken& b) { return a.content == b.content; });
  tokens_.erase(end, tokens_.end());
  for (const AddedToken& token : tokens_) ++first_[byte_at(token.content, 0) + 1U];
  for (std::size_t byte = 1; byte < first_.size(); ++byte) first_[byte] += first_[byte - 1];
}

const AddedToken* AddedTokens::longest_at(std::string_view text) const {
  const auto first_byte = static_cast<std::uint8_t>(text[0]);
  auto low = tokens_.begin() + first_[first_byte];
  auto high = tokens_.begin() + first_[first_byte + 1U];
  const AddedToken* longest = nullptr;
  for (std::size_t depth = 1; low != high; ++depth) {
    if (low->content.size() == depth) {
      longest = &*low;
      ++low;
    }
    if (depth == text.size()) break;
    const auto next = static_cast<std::uint8_t>(text[depth]);
    low = std::lower_bound(low, high, next, [depth](const AddedToken& token, std::uint8_t byte) {
      return byte_at(token.content, depth) < byte;
    });
    high = std::upper_bound(low, high, next, [depth](std::uint8_t byte, const AddedToken& token) {
      return byte < byte_at(token.content, depth);
    });
  }
  return longest;
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, std::size_t from) const {
  for (std::size_t at = from; at < text.size(); ++at) {
    const auto byte = static_cast<std::uint8_t>(text[at]);
    if (first_[byte] == first_[byte + 1U]) continue;
    const AddedToken* token = longest_at(text.substr(at));
    if (token != nullptr) return Match{at, at + token->content.size(), token->id};
  }
  return std::nullopt;
}

}  // namespace zimage
