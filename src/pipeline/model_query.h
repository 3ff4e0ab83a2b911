// What a user calls a model, checked, for those who look for it.
#pragma once

#include <vector>

#include "hub/cache_places.h"
#include "hub/model_name.h"
#include "pipeline/locate_model.h"

namespace zimage {

// Throws InvalidArgument for an empty text or a revision that cannot be one.
void check_query(const ModelQuery& query);

// The name and revision of a query that is no path; a revision may come from either. Throws
// NotFound when it is no name, InvalidArgument when the two revisions differ.
hub::ModelName parse_query(const ModelQuery& query);

// The caches that the query looks into; their warnings are logged.
std::vector<hub::CachePlace> caches_of(const ModelQuery& query);

// True for the folder of one model in Hugging Face's cache, the parent of snapshots/.
bool is_storage(const std::filesystem::path& folder);

}  // namespace zimage
