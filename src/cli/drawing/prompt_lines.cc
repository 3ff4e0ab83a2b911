// Lines to arguments, which the options' own parser reads.
#include "cli/drawing/prompt_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/quote.h"
#include "cli/drawing/prompt.h"

namespace zimage::cli {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;
// The model reads 512 tokens; text beyond this is no prompt but a wrong file.
constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::InvalidArgument, message);
}

// `source` stands for the stream in messages.
std::string read_all(std::istream& stream, const std::string& source) {
  std::string text;
  std::vector<char> piece(std::size_t{1} << 16);
  while (stream) {
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    text.append(piece.data(), static_cast<std::size_t>(stream.gcount()));
    if (text.size() > kMaxFileBytes) {
      throw Error(
          ErrorCode::InvalidFile,
          fmt::format("{}: expected prompts, found more than {} bytes", source, kMaxFileBytes));
    }
  }
  if (stream.bad()) throw Error(ErrorCode::Io, source + ": cannot be read");
  return text;
}

void check_text(const std::string& text) {
  if (text.size() > kMaxLineBytes)
    refuse(fmt::format("expected a prompt, found more than {} bytes", kMaxLineBytes));
  check_prompt("text", text);
}

// A number or a text as an argument's value.
std::string scalar_text(const std::string& key, const Json& value) {
  if (value.is_string()) {
    std::string text = value.get<std::string>();
    check_text(text);
    return text;
  }
  if (value.is_number()) return value.dump();
  refuse(fmt::format("{}: expected text, a number, true, false or a list of numbers, found {}", key,
                     value.is_null() ? "null" : printable(value.dump())));
}

// What the command line would have for an entry of the object. `false` is a flag that is absent.
std::optional<std::string> argument_of(const std::string& key, const Json& value) {
  std::string option = key;
  std::replace(option.begin(), option.end(), '_', '-');
  const bool is_name = !option.empty() && option.front() != '-' &&
                       std::all_of(option.begin(), option.end(),
                                   [](char c) { return c == '-' || (c >= 'a' && c <= 'z'); });
  if (!is_name)
    refuse(fmt::format("expected names of options such as \"prompt\", found {}", quote(key)));
  option.insert(0, "--");
  if (value.is_boolean()) return value.get<bool>() ? std::optional(option) : std::nullopt;
  std::string text;
  if (value.is_array()) {
    for (const Json& item : value) {
      if (!item.is_number()) refuse(key + ": expected a list of numbers");
      text += (text.empty() ? "" : ",") + item.dump();
    }
  } else {
    text = scalar_text(key, value);
  }
  return option + "=" + text;
}

std::vector<std::string> arguments_of(const std::string& line) {
  Json object;
  try {
    object = parse_json_unique(line, "JSON");
  } catch (const Error& error) {
    refuse(error.what());
  }
  std::vector<std::string> arguments;
  for (const auto& [key, value] : object.items()) {
    if (auto argument = argument_of(key, value)) arguments.push_back(std::move(*argument));
  }
  return arguments;
}

// Fills in the options of a line.
void parse_line(PromptLine& line, const std::string& text) {
  try {
    check_text(text);
    if (text[text.find_first_not_of(" \t")] != '{') {
      line.options.prompt = text;
      return;
    }
    line.options.output.reset();
    parse_line_arguments(line.options, arguments_of(text));
    line.has_own_output = line.options.output.has_value();
  } catch (const Error& error) {
    line.error = error.what();
  }
}

std::string read_file(const std::string& name, const std::string& source,
                      std::istream& standard_input) {
  std::ifstream file;
  if (name != "-") {
    file.open(name, std::ios::binary);
    if (!file)
      throw Error(ErrorCode::NotFound, fmt::format("{}: {}", source, std::strerror(errno)));
  }
  return read_all(name == "-" ? standard_input : file, source);
}

std::vector<PromptLine> read_lines(const GenerateOptions& options, std::istream& standard_input) {
  const std::string& name = *options.prompt_file;
  const std::string source = name == "-" ? "--prompt-file -" : "--prompt-file " + quote(name);
  const std::string text = read_file(name, source, standard_input);
  std::vector<PromptLine> lines;
  std::string_view rest = text;
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  for (std::int64_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos || line.starts_with('#')) continue;
    lines.push_back({.source = fmt::format("{}:{}", name == "-" ? "line" : printable(name), number),
                     .number = number,
                     .options = options});
    parse_line(lines.back(), std::string(line));
  }
  if (lines.empty())
    throw Error(ErrorCode::InvalidFile, source + ": expected a prompt on each line, found none");
  return lines;
}

}  // namespace

std::vector<PromptLine> read_prompts(const GenerateOptions& options, std::istream& standard_input) {
  if (options.prompt_file) return read_lines(options, standard_input);
  std::vector<PromptLine> lines;
  const bool of_picture = options.from_image && !options.given.contains("--prompt");
  const std::string source = of_picture ? "--from-image" : "--prompt";
  for (const std::string& prompt : options.prompts) {
    const auto number = static_cast<std::int64_t>(lines.size()) + 1;
    const bool several = options.prompts.size() > 1;
    lines.push_back({.source = several ? fmt::format("{} {}", source, number) : source,
                     .number = number,
                     .options = options});
    PromptLine& line = lines.back();
    line.options.prompt = prompt;
    try {
      check_text(prompt);
    } catch (const Error& error) {
      line.error = error.what();
    }
  }
  return lines;
}

}  // namespace zimage::cli
