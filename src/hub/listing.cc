// Checks every field of a listing before anything is built from it.
#include "hub/listing.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/quote.h"
#include "hub/digest.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

// A model has a few dozen files of some 300 bytes each.
constexpr std::size_t kMaxBytes = 32'000'000;
constexpr std::int64_t kFormatVersion = 1;
constexpr std::size_t kMaxPath = 1024;

constexpr std::array<std::string_view, 3> kNetworks = {"text_encoder/", "transformer/", "vae/"};

// A sum in hexadecimal digits of the right number.
std::string hex_sum(const JsonObject& entry, const char* key, std::size_t digits) {
  const std::string text = entry.string(key, "");
  if (!text.empty() && !is_hex(text, digits)) {
    throw Error(ErrorCode::InvalidFile, entry.name() + ": \"" + key + "\" is " + quote(text) +
                                            ", expected " + std::to_string(digits) +
                                            " hexadecimal digits");
  }
  return text;
}

std::uint64_t byte_count(const JsonObject& entry, const char* key) {
  const std::int64_t bytes = entry.integer(key);
  if (bytes < 0) {
    throw Error(ErrorCode::InvalidFile, entry.name() + ": \"" + key + "\" is " +
                                            std::to_string(bytes) + ", expected a size");
  }
  return static_cast<std::uint64_t>(bytes);
}

ListedFile parse_file(const std::string& path, const JsonObject& entry) {
  if (!is_inner_path(path)) {
    throw Error(ErrorCode::InvalidFile,
                entry.name() + ": expected a path that stays in the folder");
  }
  ListedFile file{.path = path,
                  .bytes = byte_count(entry, "size"),
                  .sha256 = hex_sum(entry, "lfs_sha256", 64),
                  .git_sha1 = {}};
  // A large file's blob_id is that of the pointer to it.
  if (file.sha256.empty()) {
    file.git_sha1 = hex_sum(entry, "blob_id", 40);
  } else if (entry.has("lfs_size")) {
    file.bytes = byte_count(entry, "lfs_size");
  }
  return file;
}

}  // namespace

bool is_inner_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPath) return false;
  const auto is_refused = [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\\'; };
  if (std::ranges::any_of(path, is_refused)) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view word = path.substr(0, slash);
    if (word.empty() || word == "." || word == "..") return false;
    if (slash == std::string_view::npos) return true;
    path = path.substr(slash + 1);
  }
}

bool is_needed(std::string_view path) {
  if (path == "model_index.json" || path == kTokenizerFile ||
      path == "scheduler/scheduler_config.json") {
    return true;
  }
  for (const std::string_view network : kNetworks) {
    if (!path.starts_with(network)) continue;
    const std::string_view file = path.substr(network.size());
    return file.find('/') == std::string_view::npos &&
           (file == "config.json" || file.ends_with(".safetensors") ||
            file.ends_with(".safetensors.index.json"));
  }
  return false;
}

Listing parse_tree_file(std::string_view text, const std::string& name) {
  const Json document = parse_json_unique(text, name);
  const JsonObject object(document, name);
  const std::int64_t version = object.integer("format_version");
  if (version != kFormatVersion) {
    throw Error(ErrorCode::Unsupported, name + ": \"format_version\" is " +
                                            std::to_string(version) + ", expected " +
                                            std::to_string(kFormatVersion));
  }
  const std::string inner = object.object("files").name();
  Listing listing;
  for (const auto& [path, entry] : document["files"].items()) {
    listing.push_back(parse_file(path, JsonObject(entry, inner + ": " + quote(path))));
  }
  std::ranges::sort(listing, {}, &ListedFile::path);
  return listing;
}

std::optional<Listing> read_tree_file(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  try {
    return parse_tree_file(read_file(path, kMaxBytes), path.string());
  } catch (const Error& error) {
    log(LogLevel::Warning, std::string("not used: ") + error.what());
    return std::nullopt;
  }
}

}  // namespace zimage::hub
