// Reads the clients' own variables, in their order.
#include "download/endpoint.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/quote.h"

namespace zimage::download {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxTokenFile = 10000;

// A variable's value without blanks at its ends; nothing when none is left.
std::string value_of(const hub::Variables& variables, const char* name) {
  const std::string text = variables(name).value_or("");
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

bool is_true(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; });
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

std::string checked_url(std::string url, const char* source) {
  while (url.ends_with('/')) url.pop_back();
  const bool is_web = url.starts_with("http://") || url.starts_with("https://");
  const auto is_bad = [](unsigned char c) {
    return c <= 0x20 || c >= 0x7f || c == '?' || c == '#';
  };
  if (!is_web || url.find('@') != std::string::npos || std::ranges::any_of(url, is_bad)) {
    throw Error(
        ErrorCode::InvalidArgument,
        std::string(source) + ": expected http://HOST or https://HOST, found " + quote(url));
  }
  return url;
}

void set_token(Endpoint& endpoint, std::string token, const std::string& source) {
  const auto is_bad = [](unsigned char c) { return c <= 0x20 || c >= 0x7f; };
  if (std::ranges::any_of(token, is_bad)) {
    throw Error(ErrorCode::InvalidArgument,
                source + ": expected a token, found blanks or other characters in it");
  }
  endpoint.token = std::move(token);
  endpoint.token_source = source;
}

std::string token_file(const hub::Variables& variables) {
  if (std::string path = value_of(variables, "HF_TOKEN_PATH"); !path.empty()) return path;
  if (std::string home = value_of(variables, "HF_HOME"); !home.empty()) return home + "/token";
  if (std::string cache = value_of(variables, "XDG_CACHE_HOME"); !cache.empty()) {
    return cache + "/huggingface/token";
  }
  const std::string home = value_of(variables, "HOME");
  return home.empty() ? home : home + "/.cache/huggingface/token";
}

void read_token_file(Endpoint& endpoint, const hub::Variables& variables) {
  std::string path = token_file(variables);
  if (path.starts_with("~/")) path = value_of(variables, "HOME") + path.substr(1);
  std::error_code ignored;
  if (path.empty() || !fs::is_regular_file(path, ignored)) return;
  const std::string text = read_file(path, kMaxTokenFile);
  // The clients take a file of blanks for no token.
  const std::string token =
      value_of([&text](const std::string&) { return std::optional(text); }, "");
  if (!token.empty()) set_token(endpoint, token, path);
}

Endpoint hugging_face(const hub::Variables& variables) {
  for (const char* name : {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}) {
    const std::string value = value_of(variables, name);
    if (is_true(value)) {
      throw Error(ErrorCode::InvalidArgument,
                  std::string(name) + " is set: nothing is fetched from Hugging Face");
    }
    if (!value.empty()) break;
  }
  Endpoint endpoint{.hub = hub::HubKind::HuggingFace,
                    .url = "https://huggingface.co",
                    .token = {},
                    .token_source = {}};
  if (const std::string url = value_of(variables, "HF_ENDPOINT"); !url.empty()) {
    endpoint.url = checked_url(url, "HF_ENDPOINT");
  }
  if (is_true(value_of(variables, "HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return endpoint;
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (const std::string token = value_of(variables, name); !token.empty()) {
      set_token(endpoint, token, name);
      return endpoint;
    }
  }
  read_token_file(endpoint, variables);
  return endpoint;
}

Endpoint model_scope(const hub::Variables& variables) {
  Endpoint endpoint{.hub = hub::HubKind::ModelScope,
                    .url = "https://www.modelscope.cn",
                    .token = {},
                    .token_source = {}};
  for (const char* name : {"MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"}) {
    std::string url = value_of(variables, name);
    if (url.empty()) continue;
    if (url.find("://") == std::string::npos) url.insert(0, "https://");
    endpoint.url = checked_url(url, name);
    break;
  }
  if (const std::string token = value_of(variables, "MODELSCOPE_API_TOKEN"); !token.empty()) {
    set_token(endpoint, token, "MODELSCOPE_API_TOKEN");
  }
  return endpoint;
}

}  // namespace

Endpoint endpoint_of(hub::HubKind hub, const hub::Variables& variables) {
  return hub == hub::HubKind::ModelScope ? model_scope(variables) : hugging_face(variables);
}

}  // namespace zimage::download
