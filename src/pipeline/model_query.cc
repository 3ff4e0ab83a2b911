// Refuses what cannot name a model before anything is looked for.
#include "pipeline/model_query.h"

#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/quote.h"

namespace zimage {

namespace fs = std::filesystem;

void check_query(const ModelQuery& query) {
  if (query.text.empty()) {
    throw Error(ErrorCode::InvalidArgument,
                query.source + ": expected a folder, a file or the name of a model, found \"\"");
  }
  if (query.revision && !hub::is_revision(*query.revision)) {
    throw Error(
        ErrorCode::InvalidArgument,
        "--revision: expected a branch, a tag or a commit, found " + quote(*query.revision));
  }
}

hub::ModelName parse_query(const ModelQuery& query) {
  auto name = hub::parse_model_name(query.text);
  if (!name) {
    throw Error(ErrorCode::NotFound,
                query.source + ": there is no folder " + quote(query.text) +
                    ", and it is no name of a model (OWNER/NAME or OWNER/NAME@REVISION)");
  }
  if (query.revision) {
    if (name->revision && *name->revision != *query.revision) {
      throw Error(ErrorCode::InvalidArgument, "--revision: expected " + quote(*name->revision) +
                                                  ", which the name says, found " +
                                                  quote(*query.revision));
    }
    name->revision = query.revision;
  }
  return *name;
}

std::vector<hub::CachePlace> caches_of(const ModelQuery& query) {
  hub::CachePlaces caches = hub::cache_places(hub::process_variables(), query.cache_dir);
  for (const std::string& warning : caches.warnings) log(LogLevel::Warning, warning);
  return std::move(caches.places);
}

bool is_storage(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_directory(folder / "snapshots", ignored) &&
         !fs::exists(folder / "model_index.json", ignored);
}

}  // namespace zimage
