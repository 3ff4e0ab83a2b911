// What happens to text before BPE. What enters: valid UTF-8; what leaves: the same normalised, and
// its words.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;

namespace zimage {

// Unicode normalisation form C. Precondition: valid UTF-8 of under 2^29 bytes.
std::string to_nfc(std::string_view text);

// A tokenizer.json's Split expression: matches and the text between them are words ("Isolated").
class SplitPattern {
 public:
  // `expression` is in the dialect of Oniguruma as far as PCRE2 shares it. Throws InvalidFile,
  // naming `name`, when it does not compile.
  SplitPattern(std::string_view expression, const std::string& name);

  // Views into `text`, which must be valid UTF-8; none is empty, and together they are all of it.
  // Throws Unsupported when the expression exceeds the limits of matching on this text.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct Deleter {
    void operator()(pcre2_real_code_8* code) const;
  };
  std::unique_ptr<pcre2_real_code_8, Deleter> code_;
};

}  // namespace zimage
