// Lists of tokens, their kinds and merges, arranged as huggingface/tokenizers has them.
#include "checkpoint/gguf_tokenizer.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/quote.h"

namespace zimage {
namespace {

// `enum TokenType`.
constexpr std::int64_t kNormal = 1;
constexpr std::int64_t kControl = 3;
constexpr std::int64_t kUserDefined = 4;

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

}  // namespace

bool has_vocabulary(const Json& metadata) {
  return metadata.contains("tokenizer.ggml.tokens");
}

std::optional<std::string> tokenizer_json(const Json& metadata, const std::string& name) {
  if (!has_vocabulary(metadata)) return std::nullopt;
  const JsonObject facts(metadata, name);
  expect(facts, "tokenizer.ggml.model", "gpt2");
  expect(facts, "tokenizer.ggml.pre", "qwen2");
  const std::vector<std::string> tokens = facts.strings("tokenizer.ggml.tokens");
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
