// Reads and checks the prompt.
#include "cli/prompt.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "base/utf8.h"

namespace zimage::cli {
namespace {

// The model reads 512 tokens; text beyond this is no prompt but a wrong file.
constexpr std::size_t kMaxBytes = std::size_t{1} << 20;

// `source` stands for the stream in messages.
std::string read_all(std::istream& stream, const std::string& source) {
  std::string text(kMaxBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) throw Error(ErrorCode::Io, source + ": cannot be read");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kMaxBytes) {
    throw Error(ErrorCode::InvalidFile,
                fmt::format("{}: expected a prompt, found more than {} bytes", source, kMaxBytes));
  }
  return text;
}

// The file's text, as editors write it, less what is not part of the prompt.
std::string without_marks(std::string text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace

void check_prompt(const std::string& source, const std::string& text) {
  if (const auto at = find_invalid_utf8(text)) {
    throw Error(ErrorCode::InvalidArgument,
                fmt::format("{}: expected UTF-8, found byte 0x{:02x} at offset {}", source,
                            static_cast<unsigned char>(text[*at]), *at));
  }
  if (const std::size_t at = text.find('\0'); at != std::string::npos) {
    throw Error(ErrorCode::InvalidArgument,
                fmt::format("{}: expected text, found a zero byte at offset {}", source, at));
  }
}

std::string read_prompt(const GenerateOptions& options, std::istream& standard_input) {
  if (options.prompt) {
    check_prompt("--prompt", *options.prompt);
    return *options.prompt;
  }
  const std::string& name = *options.prompt_file;
  const std::string source = name == "-" ? "--prompt-file -" : "--prompt-file " + quote(name);
  std::ifstream file;
  if (name != "-") {
    file.open(name, std::ios::binary);
    if (!file)
      throw Error(ErrorCode::NotFound, fmt::format("{}: {}", source, std::strerror(errno)));
  }
  std::string text = read_all(name == "-" ? standard_input : file, source);
  check_prompt(source, text);
  return without_marks(std::move(text));
}

}  // namespace zimage::cli
