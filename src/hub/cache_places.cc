// Reads variables, expands and deduplicates.
#include "hub/cache_places.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/quote.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// "$NAME" and "${NAME}" replaced; unknown names stay, as in python's os.path.expandvars.
std::string expand_variables(std::string_view text, const Variables& variables) {
  std::string result;
  while (!text.empty()) {
    const bool braced = text.starts_with("${");
    const std::size_t begin = braced ? 2 : 1;
    std::size_t end = begin;
    while (text.front() == '$' && end < text.size() && is_name_character(text[end])) ++end;
    const bool named =
        text.front() == '$' && end > begin && (!braced || (end < text.size() && text[end] == '}'));
    const std::size_t length = named ? end + (braced ? 1 : 0) : 1;
    const auto value =
        named ? variables(std::string(text.substr(begin, end - begin))) : std::nullopt;
    result += value ? *value : std::string(text.substr(0, length));
    text.remove_prefix(length);
  }
  return result;
}

// "~" alone or before a slash.
std::string expand_home(const std::string& text, const std::optional<std::string>& home) {
  if (home && (text == "~" || text.starts_with("~/"))) return *home + text.substr(1);
  return text;
}

// Why no file can be made below `folder`, which need not exist; empty when one can.
std::string why_not_writable(const fs::path& folder) {
  std::error_code error;
  fs::path existing = folder;
  while (!fs::exists(fs::symlink_status(existing, error)) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  if (::access(existing.c_str(), W_OK | X_OK) != 0) return std::system_category().message(errno);
  if (!fs::is_directory(existing, error)) return existing.string() + " is not a folder";
  return {};
}

class Collector {
 public:
  explicit Collector(const Variables& variables) : variables_(variables) { home_ = value("HOME"); }

  std::optional<std::string> value(const char* name) const {
    std::optional<std::string> found = variables_(name);
    return found && !found->empty() ? found : std::nullopt;
  }
  const std::optional<std::string>& home() const { return home_; }

  // A variable that names a folder, and the folder in it that is the cache.
  void add_variable(HubKind hub, const char* name, const char* inner) {
    std::optional<std::string> text = value(name);
    if (!text) return;
    std::string expanded = expand_home(*text, home_);
    if (hub == HubKind::HuggingFace) expanded = expand_variables(expanded, variables_);
    add_asked_for(hub, name, fs::path(expanded) / inner);
  }

  void add_asked_for(HubKind hub, const std::string& source, const fs::path& path) {
    const fs::path root = absolute(path);
    if (!add({.hub = hub, .root = root, .source = source})) return;
    if (path.is_relative()) {
      warn(source + " is a relative path, " + quote(path.string()) + ": it means " +
           quote(root.string()) + " here, and another cache when zimage starts elsewhere");
    }
    if (const std::string reason = why_not_writable(root); !reason.empty()) {
      warn(quote(root.string()) + " (" + source + ") cannot be written (" + reason +
           "): models that are in it are used, and none can be fetched into it");
    }
  }

  // False when the place is there already.
  bool add(CachePlace place) {
    place.root = place.root.lexically_normal();
    if (!place.root.has_filename()) place.root = place.root.parent_path();
    const auto is_same = [&place](const CachePlace& other) {
      return other.hub == place.hub && other.root == place.root;
    };
    if (std::ranges::any_of(result_.places, is_same)) return false;
    result_.places.push_back(std::move(place));
    return true;
  }

  CachePlaces take() { return std::move(result_); }

 private:
  static fs::path absolute(const fs::path& path) {
    std::error_code error;
    fs::path result = fs::absolute(path, error);
    return error ? path : result;
  }
  void warn(std::string text) {
    // --cache-dir is a place of either hub, and one warning.
    if (std::ranges::find(result_.warnings, text) == result_.warnings.end()) {
      result_.warnings.push_back(std::move(text));
    }
  }

  const Variables& variables_;
  std::optional<std::string> home_;
  CachePlaces result_;
};

}  // namespace

const char* name_of(HubKind hub) {
  return hub == HubKind::ModelScope ? "ModelScope" : "Hugging Face";
}

Variables process_variables() {
  return [](const std::string& name) -> std::optional<std::string> {
    if (const char* value = std::getenv(name.c_str()); value != nullptr) return value;
    if (name != "HOME") return std::nullopt;
    const passwd* user = ::getpwuid(::getuid());
    return user != nullptr && user->pw_dir != nullptr ? std::optional<std::string>(user->pw_dir)
                                                      : std::nullopt;
  };
}

CachePlaces cache_places(const Variables& variables, const std::optional<std::string>& cache_dir) {
  Collector collector(variables);
  if (cache_dir) {
    const std::string path = expand_home(*cache_dir, collector.home());
    collector.add_asked_for(HubKind::ModelScope, "--cache-dir", path);
    collector.add_asked_for(HubKind::HuggingFace, "--cache-dir", path);
    return collector.take();
  }
  const std::optional<std::string>& home = collector.home();
  collector.add_variable(HubKind::ModelScope, "MODELSCOPE_CACHE", "");
  collector.add_variable(HubKind::ModelScope, "MS_CACHE_HOME", "");
  if (home) {
    collector.add({.hub = HubKind::ModelScope,
                   .root = fs::path(*home) / ".cache/modelscope",
                   .source = "the default"});
  }
  collector.add_variable(HubKind::HuggingFace, "HF_HUB_CACHE", "");
  collector.add_variable(HubKind::HuggingFace, "HUGGINGFACE_HUB_CACHE", "");
  collector.add_variable(HubKind::HuggingFace, "HF_HOME", "hub");
  collector.add_variable(HubKind::HuggingFace, "XDG_CACHE_HOME", "huggingface/hub");
  if (home) {
    collector.add({.hub = HubKind::HuggingFace,
                   .root = fs::path(*home) / ".cache/huggingface/hub",
                   .source = "the default"});
  }
  return collector.take();
}

}  // namespace zimage::hub
