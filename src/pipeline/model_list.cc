// Joins what the hubs' room finds with what the formats' room reads.
#include "pipeline/model_list.h"

#include <algorithm>
#include <map>
#include <span>

#include "base/dtype.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/quant_type.h"
#include "checkpoint/weight_files.h"
#include "hub/cache_places.h"
#include "hub/catalog.h"
#include "hub/folder.h"
#include "hub/inspect.h"
#include "pipeline/locate_model.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// Adds the bytes of each dtype in one file; a file that cannot be read adds nothing.
void add_dtypes(std::map<std::string_view, std::uint64_t>& bytes, const fs::path& path) {
  try {
    const MappedFile file(path);
    for (const StoredTensor& tensor : parse_weight_file(file.bytes(), path.string()).tensors) {
      bytes[tensor.type == QuantType::None ? name_of(tensor.dtype) : name_of(tensor.type)] +=
          tensor.end - tensor.begin;
    }
  } catch (const Error&) {
    return;
  }
}

ListedModel to_listed(const hub::CatalogEntry& entry) {
  const hub::Snapshot& snapshot = entry.snapshot;
  ListedModel model{.name = entry.id,
                    .revision = snapshot.revision,
                    .references = entry.references,
                    .hub = hub::name_of(snapshot.hub),
                    .source = entry.source,
                    .folder = snapshot.folder,
                    .bytes = 0,
                    .dtypes = {},
                    .defects = {}};
  std::map<std::string_view, std::uint64_t> bytes_of_dtype;
  for (const hub::FolderFile& file : hub::files_below(snapshot.folder)) {
    model.bytes += file.bytes.value_or(0);
    if (file.path.ends_with(".safetensors") || file.path.ends_with(".gguf")) {
      add_dtypes(bytes_of_dtype, snapshot.folder / file.path);
    }
  }
  for (const auto& [name, bytes] : bytes_of_dtype) model.dtypes.emplace_back(name);
  std::ranges::stable_sort(model.dtypes, std::ranges::greater{},
                           [&](const std::string& name) { return bytes_of_dtype[name]; });
  hub::SnapshotState state = hub::inspect(snapshot, check_model_folder);
  model.defects = std::move(state.defects);
  if (!state.tokenizer_defect.empty()) model.defects.push_back(std::move(state.tokenizer_defect));
  return model;
}

}  // namespace

ModelList list_models(const std::optional<std::string>& cache_dir) {
  const hub::CachePlaces caches = hub::cache_places(hub::process_variables(), cache_dir);
  for (const std::string& warning : caches.warnings) log(LogLevel::Warning, warning);
  ModelList list;
  for (const hub::CachePlace& place : caches.places) {
    if (std::ranges::find(list.places, place.root) == list.places.end()) {
      list.places.push_back(place.root);
    }
  }
  const hub::Catalog catalog = hub::list_catalog(caches.places);
  for (const hub::CatalogEntry& entry : catalog.entries) list.models.push_back(to_listed(entry));
  for (const hub::Refusal& refusal : catalog.refusals) {
    list.refusals.emplace_back(refusal.path, refusal.reason);
  }
  return list;
}

}  // namespace zimage
