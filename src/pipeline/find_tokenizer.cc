// Looks beside the weights, then in the caches.
#include "pipeline/find_tokenizer.h"

#include <array>
#include <string>
#include <system_error>

#include "base/error.h"
#include "base/log.h"
#include "base/quote.h"
#include "checkpoint/gguf_tokenizer.h"
#include "hub/listing.h"
#include "hub/resolve.h"
#include "pipeline/model_query.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// Models of one tokenizer.
constexpr std::array<const char*, 2> kPublished = {"Tongyi-MAI/Z-Image-Turbo",
                                                   "Tongyi-MAI/Z-Image"};

bool has_tokenizer(const ModelLocation& location) {
  if (!location.tokenizer.empty()) return true;
  std::error_code ignored;
  if (!location.folder.empty() && fs::exists(location.folder / hub::kTokenizerFile, ignored)) {
    return true;
  }
  return !location.text_encoder.empty() && holds_vocabulary(location.text_encoder);
}

[[noreturn]] void refuse(const ModelLocation& location,
                         const std::vector<hub::CachePlace>& caches) {
  const std::string name = kPublished[0];
  std::string places;
  for (const hub::CachePlace& cache : caches) {
    places += (places.empty() ? "" : ", ") + printable(cache.root.string());
  }
  throw Error(ErrorCode::NotFound,
              printable(location.folder.empty() ? location.text_encoder.string()
                                                : location.folder.string()) +
                  ": holds no tokenizer, and no cache has that of " + name + " (looked into " +
                  places +
                  "); name a tokenizer.json with --tokenizer, or fetch it with: zimage pull " +
                  name + " --include 'tokenizer/*'");
}

}  // namespace

fs::path find_tokenizer(const ModelLocation& location, const ModelQuery& query) {
  if (has_tokenizer(location)) return {};
  const std::vector<hub::CachePlace> caches = caches_of(query);
  for (const char* name : kPublished) {
    fs::path file = hub::find_tokenizer(hub::parse_model_name(name).value(), caches);
    if (file.empty()) continue;
    log(LogLevel::Info, "the tokenizer is " + printable(file.string()));
    return file;
  }
  // A folder of configurations alone is enough for random weights.
  if (!location.folder.empty() && !check_model_folder(location.folder).empty()) return {};
  refuse(location, caches);
}

}  // namespace zimage
