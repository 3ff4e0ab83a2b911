// The environment becomes the list of caches that the hubs' own clients would use.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace zimage::hub {

enum class HubKind : std::uint8_t { ModelScope, HuggingFace };
const char* name_of(HubKind hub);  // "ModelScope", "Hugging Face"

// An environment variable's value; nothing when it is not set.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;
// Those of this process. HOME falls back to the user database.
Variables process_variables();

// The root of one cache; it need not exist.
struct CachePlace {
  HubKind hub = HubKind::HuggingFace;
  std::filesystem::path root;  // absolute
  std::string source;          // what names it: "HF_HOME", "--cache-dir", "the default"
};

struct CachePlaces {
  std::vector<CachePlace> places;     // in the order in which they are looked at
  std::vector<std::string> warnings;  // about places that somebody asked for
};

// ModelScope's places, then Hugging Face's: MODELSCOPE_CACHE, MS_CACHE_HOME, ~/.cache/modelscope,
// HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub and
// ~/.cache/huggingface/hub, each once. With `cache_dir` only that folder, as a cache of either
// kind. An empty variable is not set. "~" is expanded as the clients do, and "$NAME" in Hugging
// Face's variables. Warns of a relative path, and of a folder that cannot be written.
// Source: huggingface_hub constants.py; modelscope_hub config.py HubConfig; modelscope
// hub/__init__.py.
CachePlaces cache_places(const Variables& variables, const std::optional<std::string>& cache_dir);

}  // namespace zimage::hub
