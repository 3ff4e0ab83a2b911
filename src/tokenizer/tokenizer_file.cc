// simdjson behind checked accessors; the vocabulary lives only while the merges are read.
#include "tokenizer/tokenizer_file.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "tokenizer/vocabulary.h"

namespace zimage {
namespace {

using simdjson::dom::element;

constexpr std::int64_t kMaxId = (1 << 24) - 1;  // sixteen million tokens
constexpr std::size_t kMaxAddedTokenBytes = 1024;

const char* name_of(simdjson::dom::element_type type) {
  using enum simdjson::dom::element_type;
  switch (type) {
    case ARRAY: return "an array";
    case OBJECT: return "an object";
    case INT64:
    case UINT64:
    case DOUBLE: return "a number";
    case STRING: return "a string";
    case BOOL: return "a boolean";
    case NULL_VALUE: return "null";
  }
  return "unknown";
}

// One value of the document and its place there, for messages.
class Node {
 public:
  Node(element value, std::string place) : value_(value), place_(std::move(place)) {}

  const std::string& place() const { return place_; }

  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(ErrorCode::InvalidFile, place_ + ": " + problem);
  }
  [[noreturn]] void refuse(const std::string& found, const std::string& expected) const {
    throw Error(ErrorCode::Unsupported, place_ + " is " + found + ", expected " + expected);
  }

  // Nothing when the key is absent or null.
  std::optional<Node> find(const char* key) const {
    element value;
    if (as<simdjson::dom::object>("an object").at_key(key).get(value) != simdjson::SUCCESS ||
        value.is_null()) {
      return std::nullopt;
    }
    return Node(value, place_ + ": " + quote(key));
  }
  Node at(const char* key) const {
    const std::optional<Node> found = find(key);
    if (!found) fail(quote(key) + " is missing");
    return *found;
  }

  std::string_view string() const { return as<std::string_view>("a string"); }
  bool boolean() const { return as<bool>("true or false"); }
  bool boolean(const char* key, bool fallback) const {
    const std::optional<Node> found = find(key);
    return found ? found->boolean() : fallback;
  }
  simdjson::dom::object object() const { return as<simdjson::dom::object>("an object"); }
  simdjson::dom::array array() const { return as<simdjson::dom::array>("an array"); }
  bool is_string() const { return value_.is_string(); }

  std::int32_t id() const {
    std::int64_t id = 0;
    if (value_.get(id) != simdjson::SUCCESS || id < 0 || id > kMaxId) {
      fail("not an id from 0 to " + std::to_string(kMaxId));
    }
    return static_cast<std::int32_t>(id);
  }

 private:
  template <typename T>
  T as(const char* expected) const {
    T value;
    if (value_.get(value) != simdjson::SUCCESS) {
      fail(std::string("found ") + name_of(value_.type()) + ", expected " + expected);
    }
    return value;
  }

  element value_;
  std::string place_;
};

void expect_type(const Node& node, std::string_view expected) {
  const Node type = node.at("type");
  if (type.string() != expected) type.refuse(quote(type.string()), quote(expected));
}

void expect_boolean(const Node& node, const char* key, std::optional<bool> fallback,
                    bool expected) {
  const bool found = fallback ? node.boolean(key, *fallback) : node.at(key).boolean();
  if (found != expected) {
    throw Error(ErrorCode::Unsupported, node.place() + ": " + quote(key) + " is " +
                                            (found ? "true" : "false") + ", expected " +
                                            (expected ? "true" : "false"));
  }
}

// Which ids are taken. Grows as needed.
class IdSet {
 public:
  // False when it was there already.
  bool insert(std::int32_t id) {
    const auto at = static_cast<std::size_t>(id);
    if (at >= taken_.size()) taken_.resize(std::max(at + 1, taken_.size() * 2));
    if (taken_[at]) return false;
    taken_[at] = true;
    largest_ = std::max(largest_, id);
    return true;
  }
  std::int32_t size() const { return largest_ + 1; }

 private:
  std::vector<bool> taken_;
  std::int32_t largest_ = -1;
};

Vocabulary read_vocabulary(const Node& node, IdSet& ids) {
  const simdjson::dom::object tokens = node.object();
  // The object's own size() stops counting at 2^24 - 1.
  Vocabulary vocabulary(static_cast<std::size_t>(std::distance(tokens.begin(), tokens.end())));
  for (const auto field : tokens) {
    const auto fail = [&](const std::string& problem) {
      Node(field.value, node.place() + ": " + quote(field.key)).fail(problem);
    };
    std::int64_t id = 0;
    if (field.value.get(id) != simdjson::SUCCESS || id < 0 || id > kMaxId) {
      fail("not an id from 0 to " + std::to_string(kMaxId));
    }
    if (!ids.insert(static_cast<std::int32_t>(id))) {
      fail("id " + std::to_string(id) + " is taken by another token");
    }
    if (!vocabulary.insert(field.key, static_cast<std::int32_t>(id))) fail("appears twice");
  }
  return vocabulary;
}

// The characters that stand for bytes: printable Latin-1 for itself, the rest from U+0100 on.
// Source: GPT-2's bytes_to_unicode.
std::array<std::int32_t, 256> read_byte_ids(const Vocabulary& vocabulary, const Node& node) {
  std::array<std::int32_t, 256> ids{};
  char32_t next = 0x100;
  for (std::size_t byte = 0; byte < ids.size(); ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
    std::string character;
    append_utf8(character, printable ? static_cast<char32_t>(byte) : next++);
    const Vocabulary::Entry* token = vocabulary.find(character);
    if (token == nullptr) {
      node.fail("has no token " + quote(character) + ", which stands for byte " +
                std::to_string(byte));
    }
    ids[byte] = token->id;
  }
  return ids;
}

using Pair = std::pair<std::string_view, std::string_view>;

// A merge is ["a", "b"], or "a b" in older files. Nothing when it is neither.
std::optional<Pair> read_pair(element merge) {
  std::string_view text;
  if (merge.get(text) == simdjson::SUCCESS) {
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
      return std::nullopt;
    }
    return Pair{text.substr(0, space), text.substr(space + 1)};
  }
  simdjson::dom::array parts;
  if (merge.get(parts) != simdjson::SUCCESS || parts.size() != 2) return std::nullopt;
  Pair pair;
  if (parts.at(0).get(pair.first) != simdjson::SUCCESS ||
      parts.at(1).get(pair.second) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  return pair;
}

bool is_joined(std::string_view token, const Pair& pair) {
  return token.size() == pair.first.size() + pair.second.size() && token.starts_with(pair.first) &&
         token.ends_with(pair.second);
}

MergeTable read_merges(const Node& node, const Vocabulary& vocabulary) {
  const simdjson::dom::array list = node.array();
  MergeTable merges(static_cast<std::size_t>(std::distance(list.begin(), list.end())));
  std::uint32_t rank = 0;
  std::string joined;
  const Vocabulary::Entry* guess = nullptr;
  for (const element item : list) {
    const auto fail = [&](const std::string& problem) {
      Node(item, node.place() + "[" + std::to_string(rank) + "]").fail(problem);
    };
    const auto find = [&](std::string_view token) {
      const Vocabulary::Entry* entry = vocabulary.find(token);
      if (entry == nullptr) fail("token " + quote(token) + " is not in the vocabulary");
      return entry;
    };
    const std::optional<Pair> pair = read_pair(item);
    if (!pair) fail("expected two tokens, as a list or with one space between them");
    // Most vocabularies list the merged tokens in the order of the merges, which spares the search.
    const bool guessed = guess != nullptr && is_joined(guess->token, *pair);
    if (!guessed) joined.assign(pair->first).append(pair->second);
    const Vocabulary::Entry* merged = guessed ? guess : find(joined);
    guess = vocabulary.next(merged);
    if (!merges.insert(find(pair->first)->id, find(pair->second)->id, {rank, merged->id})) {
      fail("the pair appears twice");
    }
    ++rank;
  }
  return merges;
}

AddedToken read_added_token(const Node& node, const Vocabulary& vocabulary, IdSet& ids) {
  for (const char* key : {"single_word", "lstrip", "rstrip"}) {
    expect_boolean(node, key, false, false);
  }
  AddedToken token{std::string(node.at("content").string()), node.at("id").id(),
                   node.boolean("normalized", true)};
  if (token.content.empty() || token.content.size() > kMaxAddedTokenBytes) {
    node.fail("\"content\" has " + std::to_string(token.content.size()) + " bytes, expected 1 to " +
              std::to_string(kMaxAddedTokenBytes));
  }
  const Vocabulary::Entry* known = vocabulary.find(token.content);
  if (known != nullptr && known->id != token.id) {
    node.fail("\"id\" is " + std::to_string(token.id) + ", and " + std::to_string(known->id) +
              " in the vocabulary");
  }
  if (known == nullptr && !ids.insert(token.id)) {
    node.fail("id " + std::to_string(token.id) + " is taken by another token");
  }
  return token;
}

std::vector<AddedToken> read_added_tokens(const Node& root, const Vocabulary& vocabulary,
                                          IdSet& ids) {
  std::vector<AddedToken> tokens;
  const std::optional<Node> node = root.find("added_tokens");
  if (!node) return tokens;
  const simdjson::dom::array list = node->array();
  Vocabulary seen(static_cast<std::size_t>(std::distance(list.begin(), list.end())));
  for (const element item : list) {
    const Node place(item, node->place() + "[" + std::to_string(tokens.size()) + "]");
    const std::string_view content = place.at("content").string();
    if (!seen.insert(content, 0)) place.fail(quote(content) + " appears twice");
    tokens.push_back(read_added_token(place, vocabulary, ids));
  }
  return tokens;
}

void check_model(const Node& model) {
  expect_type(model, "BPE");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const std::optional<Node> affix = model.find(key);
    if (affix && !affix->string().empty()) affix->refuse(quote(affix->string()), "none");
  }
  if (const std::optional<Node> dropout = model.find("dropout")) dropout->refuse("set", "null");
  expect_boolean(model, "ignore_merges", false, false);
}

bool read_normalizer(const Node& root) {
  const std::optional<Node> normalizer = root.find("normalizer");
  if (normalizer) expect_type(*normalizer, "NFC");
  return normalizer.has_value();
}

// Returns the Split expression of a sequence of Split and ByteLevel.
std::string read_pre_tokenizer(const Node& root) {
  const Node sequence = root.at("pre_tokenizer");
  expect_type(sequence, "Sequence");
  const Node list = sequence.at("pretokenizers");
  std::vector<Node> steps;
  for (const element item : list.array()) {
    steps.emplace_back(item, list.place() + "[" + std::to_string(steps.size()) + "]");
  }
  if (steps.size() != 2) list.refuse(std::to_string(steps.size()) + " steps", "2");
  const Node& split = steps[0];
  expect_type(split, "Split");
  const Node behavior = split.at("behavior");
  if (behavior.string() != "Isolated") behavior.refuse(quote(behavior.string()), "\"Isolated\"");
  expect_boolean(split, "invert", false, false);
  const Node& bytes = steps[1];
  expect_type(bytes, "ByteLevel");
  expect_boolean(bytes, "add_prefix_space", true, false);
  expect_boolean(bytes, "use_regex", true, false);
  const Node pattern = split.at("pattern");
  const std::optional<Node> expression = pattern.find("Regex");
  if (!expression) pattern.refuse("another kind of pattern", "\"Regex\"");
  return std::string(expression->string());
}

}  // namespace

TokenizerFile read_tokenizer_file(std::string_view json, const std::string& name) {
  if (json.empty()) throw Error(ErrorCode::InvalidFile, name + ": not valid JSON (empty)");
  simdjson::dom::parser parser;
  element document;
  const simdjson::error_code error = parser.parse(json.data(), json.size()).get(document);
  if (error == simdjson::MEMALLOC) throw Error(ErrorCode::OutOfMemory, name + ": too large");
  if (error != simdjson::SUCCESS) {
    throw Error(ErrorCode::InvalidFile,
                name + ": not valid JSON (" + simdjson::error_message(error) + ")");
  }
  const Node root(document, name);
  const Node model = root.at("model");
  check_model(model);
  // ByteLevel, or none, adds no tokens around a text.
  if (const auto post_processor = root.find("post_processor")) {
    expect_type(*post_processor, "ByteLevel");
  }
  const bool nfc = read_normalizer(root);
  std::string split_expression = read_pre_tokenizer(root);
  IdSet ids;
  const Node tokens = model.at("vocab");
  const Vocabulary vocabulary = read_vocabulary(tokens, ids);
  const std::array<std::int32_t, 256> byte_ids = read_byte_ids(vocabulary, tokens);
  MergeTable merges = read_merges(model.at("merges"), vocabulary);
  std::vector<AddedToken> added_tokens = read_added_tokens(root, vocabulary, ids);
  return {nfc, std::move(split_expression), std::move(added_tokens),
          Bpe(byte_ids, std::move(merges)), ids.size()};
}

}  // namespace zimage
