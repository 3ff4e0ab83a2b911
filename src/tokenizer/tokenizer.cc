// The order of encoding: added tokens in the raw text, normalisation, added tokens in the
// normalised text, words, BPE.
#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/utf8.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/tokenizer_file.h"

namespace zimage {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{1} << 28;
constexpr std::size_t kMaxFileBytes = std::size_t{1} << 28;

// Added tokens become ids; the text between them goes to `encode_rest`.
template <typename EncodeRest>
void encode_around(const AddedTokens& tokens, std::string_view text, std::vector<std::int32_t>& ids,
                   EncodeRest encode_rest) {
  std::size_t at = 0;
  while (const auto match = tokens.find(text, at)) {
    if (match->begin > at) encode_rest(text.substr(at, match->begin - at));
    ids.push_back(match->id);
    at = match->end;
  }
  if (at < text.size()) encode_rest(text.substr(at));
}

}  // namespace

struct Tokenizer::Model {
  bool nfc;
  AddedTokens raw_tokens;
  AddedTokens normalized_tokens;
  SplitPattern split;
  Bpe bpe;
  std::int32_t size;
};

Tokenizer Tokenizer::open(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  const std::span<const std::byte> bytes = mapped.bytes();
  if (bytes.size() > kMaxFileBytes) {
    throw Error(ErrorCode::InvalidFile, file.string() + ": " + std::to_string(bytes.size()) +
                                            " bytes, expected at most " +
                                            std::to_string(kMaxFileBytes));
  }
  return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.string());
}

Tokenizer Tokenizer::parse(std::string_view json, const std::string& name) {
  TokenizerFile file = read_tokenizer_file(json, name);
  std::vector<AddedToken> raw;
  std::vector<AddedToken> normalized;
  for (AddedToken& token : file.added_tokens) {
    if (token.normalized && file.nfc) token.content = to_nfc(token.content);
    (token.normalized ? normalized : raw).push_back(std::move(token));
  }
  return Tokenizer(std::make_unique<const Model>(
      Model{file.nfc, AddedTokens(std::move(raw)), AddedTokens(std::move(normalized)),
            SplitPattern(file.split_expression, name), std::move(file.bpe), file.size}));
}

Tokenizer::Tokenizer(std::unique_ptr<const Model> model) : model_(std::move(model)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  if (text.size() > kMaxTextBytes) {
    throw Error(ErrorCode::InvalidArgument, "the text has " + std::to_string(text.size()) +
                                                " bytes, expected at most " +
                                                std::to_string(kMaxTextBytes));
  }
  if (const auto offset = find_invalid_utf8(text)) {
    throw Error(ErrorCode::InvalidArgument,
                "the text is not UTF-8 at byte " + std::to_string(*offset));
  }
  std::vector<std::int32_t> ids;
  const auto encode_words = [&](std::string_view part) {
    for (const std::string_view word : model_->split.split(part)) model_->bpe.encode(word, ids);
  };
  const auto encode_raw = [&](std::string_view part) {
    const std::string normalized = model_->nfc ? to_nfc(part) : std::string(part);
    encode_around(model_->normalized_tokens, normalized, ids, encode_words);
  };
  encode_around(model_->raw_tokens, text, ids, encode_raw);
  return ids;
}

std::int32_t Tokenizer::size() const {
  return model_->size;
}

std::string apply_chat_template(std::string_view prompt) {
  std::string text = "<|im_start|>user\n";
  text += prompt;
  text += "<|im_end|>\n<|im_start|>assistant\n";
  return text;
}

}  // namespace zimage
