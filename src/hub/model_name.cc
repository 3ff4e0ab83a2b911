// Splits and checks characters.
#include "hub/model_name.h"

#include <algorithm>

#include "hub/digest.h"

namespace zimage::hub {
namespace {

constexpr std::size_t kMaxLength = 200;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// One component of a name or of a revision.
bool is_word(std::string_view text, std::string_view marks) {
  const auto fits = [marks](char c) {
    return is_alphanumeric(c) || marks.find(c) != std::string_view::npos;
  };
  return !text.empty() && text.size() <= kMaxLength && text.front() != '.' && text.front() != '-' &&
         text.back() != '.' && text.find("..") == std::string_view::npos &&
         std::ranges::all_of(text, fits);
}

// The caches put "--" between owner and name, so neither may have it.
bool is_name(std::string_view text) {
  return is_word(text, "._-") && text.find("--") == std::string_view::npos;
}

}  // namespace

std::optional<ModelName> parse_model_name(std::string_view text) {
  ModelName result;
  const std::size_t at = text.find('@');
  if (at != std::string_view::npos) {
    const std::string_view revision = text.substr(at + 1);
    if (!is_revision(revision)) return std::nullopt;
    result.revision = revision;
    text = text.substr(0, at);
  }
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  result.owner = text.substr(0, slash);
  result.name = text.substr(slash + 1);
  if (!is_name(result.owner) || !is_name(result.name)) return std::nullopt;
  return result;
}

bool is_revision(std::string_view text) {
  if (text.size() > kMaxLength) return false;
  while (true) {
    const std::size_t slash = text.find('/');
    if (!is_word(text.substr(0, slash), "._-+")) return false;
    if (slash == std::string_view::npos) return true;
    text = text.substr(slash + 1);
  }
}

bool is_commit(std::string_view text) {
  return is_hex(text, 40);
}

}  // namespace zimage::hub
