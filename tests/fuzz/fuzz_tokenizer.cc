// Up to three fields with zero bytes between them: a tokenizer.json, a Split expression, and a text
// that both and a sound tokenizer take apart. Either one Error, or ids of the vocabulary and words
// that are together the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "../small_tokenizer.h"
#include "base/utf8.h"
#include "checks.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/tokenizer.h"

namespace {

using zimage::fuzz::answer;
using zimage::fuzz::require;

// A hostile expression may take its whole allowance of steps at every place.
constexpr std::size_t kMaxText = 256;

std::string_view take_field(std::string_view& rest) {
  const std::string_view field = rest.substr(0, rest.find('\0'));
  rest.remove_prefix(field.size() < rest.size() ? field.size() + 1 : rest.size());
  return field;
}

void encode(const zimage::Tokenizer& tokenizer, std::string_view text) {
  for (const std::int32_t id : tokenizer.encode(text)) {
    require(id >= 0 && id < tokenizer.size());
  }
}

void split(std::string_view expression, std::string_view text) {
  const zimage::SplitPattern pattern(expression, "input");
  std::string joined;
  for (const std::string_view word : pattern.split(text)) {
    require(!word.empty());
    joined += word;
  }
  require(joined == text);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kSound = zimage::Tokenizer::parse(zimage::small_tokenizer().dump(), "sound");
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view file = take_field(rest);
  const std::string_view expression = take_field(rest);
  const std::string_view text = rest.substr(0, kMaxText);
  if (!file.empty()) {
    answer([&] { encode(zimage::Tokenizer::parse(file, "input"), text); });
  }
  if (zimage::find_invalid_utf8(text)) {
    answer([&] {
      encode(kSound, text);
      std::abort();
    });
    return 0;
  }
  encode(kSound, text);
  const std::string normalized = zimage::to_nfc(text);
  require(zimage::to_nfc(normalized) == normalized);
  if (!expression.empty()) answer([&] { split(expression, text); });
  return 0;
}
