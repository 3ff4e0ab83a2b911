// utf8proc for normalisation, PCRE2 for splitting.
#include "tokenizer/pretokenize.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "base/quote.h"
#include "base/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace zimage {
namespace {

constexpr std::size_t kMaxExpressionBytes = 16384;
// Steps that one search may take: enough for an expression that looks at each byte a few times, not
// for one whose steps grow faster than the text.
constexpr std::size_t kMatchSteps = 100000;
constexpr std::size_t kMatchStepsPerByte = 8;
constexpr std::size_t kMaxMatchLimit = 0xffffffff;
constexpr std::uint32_t kHeapLimitKib = 65536;
constexpr std::size_t kJitStackStart = 32768;
constexpr std::size_t kJitStackLimit = 1048576;

struct MatchContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct JitStackDeleter {
  void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};
struct CompileContextDeleter {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

template <typename T>
T* not_null(T* pointer) {
  if (pointer == nullptr) throw Error(ErrorCode::OutOfMemory, "no memory for splitting text");
  return pointer;
}

// PCRE2's \s takes U+180E for a space; Oniguruma's is Unicode's White_Space property.
std::string with_unicode_spaces(std::string_view expression) {
  std::string result;
  for (std::size_t at = 0; at < expression.size(); ++at) {
    result += expression[at];
    if (expression[at] != '\\' || at + 1 == expression.size()) continue;
    const char escaped = expression[++at];
    if (escaped == 's') {
      result += "p{White_Space}";
    } else if (escaped == 'S') {
      result += "P{White_Space}";
    } else {
      result += escaped;
    }
  }
  return result;
}

// Searches one text, with limits on time and space.
class Searcher {
 public:
  Searcher(const pcre2_code* code, std::string_view text)
      : code_(code),
        text_(text),
        context_(not_null(pcre2_match_context_create(nullptr))),
        data_(not_null(pcre2_match_data_create(1, nullptr))),
        stack_(pcre2_jit_stack_create(kJitStackStart, kJitStackLimit, nullptr)) {
    const std::size_t steps = kMatchSteps + kMatchStepsPerByte * text.size();
    pcre2_set_match_limit(context_.get(),
                          static_cast<std::uint32_t>(std::min(steps, kMaxMatchLimit)));
    pcre2_set_heap_limit(context_.get(), kHeapLimitKib);
    // Without a stack of its own the JIT code uses 32 KiB of the thread's.
    if (stack_) pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
  }

  // False when there is no match at or after `from`; else sets `begin` and `end`.
  bool find(std::size_t from) {
    const int found = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(),
                                  from, PCRE2_NO_UTF_CHECK, data_.get(), context_.get());
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found < 0) {
      throw Error(ErrorCode::Unsupported,
                  "the tokenizer's Split expression fails on this text: " + message_of(found));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data_.get());
    begin = ends[0];
    end = ends[1];
    return true;
  }

  std::size_t begin = 0;
  std::size_t end = 0;

 private:
  const pcre2_code* code_;
  std::string_view text_;
  std::unique_ptr<pcre2_match_context, MatchContextDeleter> context_;
  std::unique_ptr<pcre2_match_data, MatchDataDeleter> data_;
  std::unique_ptr<pcre2_jit_stack, JitStackDeleter> stack_;
};

std::size_t checked(utf8proc_ssize_t count) {
  if (count < 0) {
    throw Error(ErrorCode::InvalidArgument,
                std::string("the text cannot be normalised: ") + utf8proc_errmsg(count));
  }
  return static_cast<std::size_t>(count);
}

// Appends the canonical decomposition of `code`.
void append_decomposed(std::vector<utf8proc_int32_t>& codes, char32_t code) {
  std::array<utf8proc_int32_t, 32> parts{};  // Unicode's longest has 4
  int last_class = 0;
  const std::size_t count = checked(utf8proc_decompose_char(
      static_cast<utf8proc_int32_t>(code), parts.data(),
      static_cast<utf8proc_ssize_t>(parts.size()), UTF8PROC_DECOMPOSE, &last_class));
  codes.insert(codes.end(), parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(count));
}

// Puts every run of combining marks into canonical order. utf8proc's own ordering takes time that
// is quadratic in the run.
void order_marks(std::vector<utf8proc_int32_t>& codes) {
  const auto class_of = [](utf8proc_int32_t code) {
    return utf8proc_get_property(code)->combining_class;
  };
  const auto is_mark = [&](utf8proc_int32_t code) { return class_of(code) != 0; };
  const auto comes_first = [&](utf8proc_int32_t a, utf8proc_int32_t b) {
    return class_of(a) < class_of(b);
  };
  for (auto at = codes.begin(); at != codes.end();) {
    const auto begin = std::find_if(at, codes.end(), is_mark);
    at = std::find_if_not(begin, codes.end(), is_mark);
    std::stable_sort(begin, at, comes_first);
  }
}

}  // namespace

std::string to_nfc(std::string_view text) {
  const auto is_ascii = [](char byte) { return static_cast<std::uint8_t>(byte) < 0x80; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) return std::string(text);
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = first_character(text.substr(at));
    append_decomposed(codes, character.code);
    at += character.length;
  }
  order_marks(codes);
  // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): the options are flags.
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  const auto length = static_cast<utf8proc_ssize_t>(codes.size());
  codes.resize(checked(utf8proc_normalize_utf32(codes.data(), length, options)));
  std::string result;
  result.reserve(text.size());
  for (const utf8proc_int32_t code : codes) append_utf8(result, static_cast<char32_t>(code));
  return result;
}

void SplitPattern::Deleter::operator()(pcre2_real_code_8* code) const {
  pcre2_code_free(code);
}

SplitPattern::SplitPattern(std::string_view expression, const std::string& name) {
  const std::string pattern = with_unicode_spaces(expression);
  const std::unique_ptr<pcre2_compile_context, CompileContextDeleter> context(
      not_null(pcre2_compile_context_create(nullptr)));
  pcre2_set_max_pattern_length(context.get(), kMaxExpressionBytes);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                            PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
                            context.get()));
  if (!code_) {
    throw Error(ErrorCode::InvalidFile, name + ": the Split expression " + quote(expression) +
                                            " is not valid: " + message_of(error));
  }
  // Where there is no JIT, matching falls back to the interpreter by itself.
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
}

std::vector<std::string_view> SplitPattern::split(std::string_view text) const {
  std::vector<std::string_view> words;
  Searcher searcher(code_.get(), text);
  std::size_t done = 0;
  for (std::size_t from = 0; from < text.size() && searcher.find(from);) {
    const std::size_t begin = searcher.begin;
    const std::size_t end = searcher.end;
    if (begin < done || end < begin) {
      throw Error(ErrorCode::Unsupported, "the tokenizer's Split expression matches backwards");
    }
    if (begin > done) words.push_back(text.substr(done, begin - done));
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    done = end;
    // An empty match must not be found again.
    from = end > from ? end : from + first_character(text.substr(from)).length;
  }
  if (done < text.size()) words.push_back(text.substr(done));
  return words;
}

}  // namespace zimage
