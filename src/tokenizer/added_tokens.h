// Finds the tokens that a tokenizer takes whole, before any splitting: "<|im_start|>" and the like.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zimage {

struct AddedToken {
  std::string content;  // not empty
  std::int32_t id = 0;
  bool normalized = false;  // matched in normalised text, not in raw text
};

// A set of tokens ordered for searching.
class AddedTokens {
 public:
  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::int32_t id = 0;
  };

  // Of tokens with one content the first counts.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // The leftmost token in `text` at or after `from`; of several that begin there the longest.
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  const AddedToken* longest_at(std::string_view text) const;

  std::vector<AddedToken> tokens_;  // sorted by content
  // tokens_[first_[b]] to tokens_[first_[b + 1]] begin with byte b.
  std::array<std::uint32_t, 257> first_{};
};

}  // namespace zimage
