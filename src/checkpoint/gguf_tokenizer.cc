// Lists of tokens, their kinds and merges, arranged as huggingface/tokenizers has them.
#include "checkpoint/gguf_tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/quote.h"
#include "checkpoint/gguf.h"

namespace zimage {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";

// `enum TokenType`.
constexpr std::int64_t kNormal = 1;
constexpr std::int64_t kControl = 3;
constexpr std::int64_t kUserDefined = 4;
constexpr std::int64_t kUnused = 5;

// Source: the pre_tokenizer of Qwen/Qwen3-4B's tokenizer.json.
constexpr const char* kWords =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

void expect(const JsonObject& facts, const char* key, const std::string& expected) {
  const std::string found = facts.string(key, "");
  if (found == expected) return;
  throw Error(ErrorCode::Unsupported,
              facts.name() + ": " + key + " is " + quote(found) + ", expected " + quote(expected));
}

Json added_token(std::int64_t id, const std::string& content, bool special) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

// Whether a part of the document, however deep, is the expression that cuts Qwen2's words.
bool cuts_words(const Json& json) {
  if (json.is_string()) return json.get_ref<const std::string&>() == kWords;
  return json.is_structured() && std::ranges::any_of(json, cuts_words);
}

bool has_qwen2_words(const Json& tokenizer) {
  if (!tokenizer.is_object() || !tokenizer.contains("pre_tokenizer")) return false;
  const auto model = tokenizer.find("model");
  return cuts_words(tokenizer["pre_tokenizer"]) && model != tokenizer.end() && model->is_object() &&
         model->value("type", "") == "BPE" && model->contains("vocab") && model->contains("merges");
}

// Sets the token of each id, and its kind.
class Vocabulary {
 public:
  Vocabulary(std::int64_t rows, const std::string& name) : name_(name) {
    for (std::int64_t id = 0; id < rows; ++id) {
      result.tokens.push_back("[PAD" + std::to_string(id) + "]");
      result.token_types.push_back(static_cast<std::int32_t>(kUnused));
    }
  }

  void set(std::int64_t id, const std::string& token, std::int64_t kind) {
    if (id < 0 || id >= static_cast<std::int64_t>(result.tokens.size())) {
      throw Error(ErrorCode::InvalidFile, name_ + ": token " + quote(token) + " has the id " +
                                              std::to_string(id) + ", expected one below " +
                                              std::to_string(result.tokens.size()));
    }
    result.tokens[static_cast<std::size_t>(id)] = token;
    result.token_types[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(kind);
  }

  GgufVocabulary result;

 private:
  const std::string& name_;
};

// "left right", or a list of the two.
std::string merge_text(const Json& merge, const std::string& name) {
  if (merge.is_string()) return merge.get<std::string>();
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  throw Error(ErrorCode::InvalidFile,
              name + ": a merge is " + std::string(merge.type_name()) + ", expected two tokens");
}

}  // namespace

bool holds_vocabulary(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  return is_gguf(mapped.bytes()) &&
         parse_gguf(mapped.bytes(), file.string()).metadata.contains(kTokens);
}

std::optional<GgufVocabulary> gguf_vocabulary(const Json& tokenizer, std::int64_t rows,
                                              const std::string& name) {
  if (!has_qwen2_words(tokenizer)) return std::nullopt;
  Vocabulary vocabulary(rows, name);
  static_cast<void>(JsonObject(tokenizer, name).object("model").object("vocab"));
  for (const auto& [token, id] : tokenizer["model"]["vocab"].items())
    vocabulary.set(id.is_number_integer() ? id.get<std::int64_t>() : -1, token, kNormal);
  if (const auto added = tokenizer.find("added_tokens"); added != tokenizer.end()) {
    for (const Json& entry : *added) {
      const JsonObject token(entry, name + ": added_tokens");
      vocabulary.set(token.integer("id"), token.string("content"),
                     token.boolean("special", false) ? kControl : kUserDefined);
    }
  }
  for (const Json& merge : tokenizer["model"]["merges"])
    vocabulary.result.merges.push_back(merge_text(merge, name));
  return std::move(vocabulary.result);
}

std::optional<std::string> tokenizer_json(const Json& metadata, const std::string& name) {
  if (!metadata.contains(kTokens)) return std::nullopt;
  const JsonObject facts(metadata, name);
  expect(facts, "tokenizer.ggml.model", "gpt2");
  expect(facts, "tokenizer.ggml.pre", "qwen2");
  const std::vector<std::string> tokens = facts.strings(kTokens);
  const std::vector<std::int64_t> kinds = facts.integers("tokenizer.ggml.token_type");
  if (kinds.size() != tokens.size()) {
    throw Error(ErrorCode::InvalidFile, name + ": " + std::to_string(kinds.size()) +
                                            " kinds of tokens, expected " +
                                            std::to_string(tokens.size()));
  }
  Json vocabulary = Json::object();
  Json added = Json::array();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<std::int64_t>(i);
    if (kinds[i] == kNormal) {
      vocabulary[tokens[i]] = id;
    } else if (kinds[i] == kControl || kinds[i] == kUserDefined) {
      added.push_back(added_token(id, tokens[i], kinds[i] == kControl));
    }
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kWords}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", false},
                      {"use_regex", false}};
  const Json document = {
      {"added_tokens", added},
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
      {"model",
       {{"type", "BPE"},
        {"vocab", vocabulary},
        {"merges", facts.strings("tokenizer.ggml.merges")}}}};
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace zimage
