// Folders and files first, then the hubs' caches.
#include "pipeline/locate_model.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/quote.h"
#include "checkpoint/config_file.h"
#include "checkpoint/model_index.h"
#include "checkpoint/pickle.h"
#include "checkpoint/weight_files.h"
#include "hub/folder.h"
#include "hub/resolve.h"
#include "pipeline/comfy_folder.h"
#include "pipeline/find_tokenizer.h"
#include "pipeline/model_query.h"
#include "pipeline/part_of_file.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

ModelLocation to_location(const hub::ResolvedModel& model) {
  return {.folder = model.folder, .tokenizer = model.tokenizer};
}

// `text` without the path of `folder` before each name in it.
std::string relative_to(const fs::path& folder, std::string text) {
  const std::string prefix = folder.string() + "/";
  for (std::size_t at = 0; (at = text.find(prefix, at)) != std::string::npos;) {
    text.erase(at, prefix.size());
  }
  return text;
}

[[noreturn]] void refuse(ErrorCode code, const ModelQuery& query, const std::string& finding) {
  throw Error(code, query.source + ": " + finding);
}

ModelLocation locate_by_name(const ModelQuery& query) {
  const hub::ModelName name = parse_query(query);
  const std::vector<hub::CachePlace> caches = caches_of(query);
  try {
    const hub::ResolvedModel model = hub::resolve(name, caches, check_model_folder);
    if (!model.tokenizer.empty()) {
      log(LogLevel::Info, "the tokenizer is " + model.tokenizer.string());
    }
    return to_location(model);
  } catch (const Error& error) {
    throw Error(error.code(), query.source + ": there is no folder of this name, and " +
                                  std::string(error.what()));
  }
}

// What the only file of a query holds, where `files` does not name it.
ModelLocation locate_in_file(const ModelQuery& query, const fs::path& file) {
  ModelLocation location = query.files;
  std::string missing;
  const auto take = [&](fs::path& part, bool is_there, const std::string& name,
                        const std::string& option) {
    if (!part.empty()) return;
    if (is_there) {
      part = file;
    } else {
      missing += (missing.empty() ? "" : ", ") + name + " (" + option + ")";
    }
  };
  refuse_pickle(file);
  const auto transformer = transformer_in(file);
  const auto text_encoder = text_encoder_in(file);
  const auto vae = vae_in(file);
  if (!transformer && !text_encoder && !vae) {
    refuse(ErrorCode::InvalidFile, query,
           "expected a model's folder, its name, or a file of all parts; " + quote(query.text) +
               " holds no part that can be read (zimage info --transformer FILE, --text-encoder or "
               "--vae says why)");
  }
  take(location.transformer, transformer.has_value(), "the transformer", "--transformer");
  take(location.text_encoder, text_encoder.has_value(), "the text encoder", "--text-encoder");
  take(location.vae, vae.has_value(), "the autoencoder", "--vae");
  if (!missing.empty()) {
    refuse(ErrorCode::InvalidArgument, query,
           quote(query.text) + " holds a part of a model; name the others too: " + missing);
  }
  return location;
}

// The networks; `query.files` may be left out where they come on top.
ModelLocation locate_networks(const ModelQuery& query) {
  const fs::path path(query.text);
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return locate_by_name(query);
  if (is_storage(path)) {
    return to_location(hub::resolve_storage(path, query.revision, check_model_folder));
  }
  if (query.revision) {
    throw Error(ErrorCode::InvalidArgument,
                "--revision: " + quote(query.text) +
                    (hub::is_folder(path) ? " is a folder" : " is a file") +
                    ", which has no revisions");
  }
  if (!hub::is_folder(path)) return locate_in_file(query, path);
  if (!fs::exists(path / "model_index.json", error)) {
    if (const auto comfy = find_comfy_folder(path)) {
      return locate_in_comfy_folder(*comfy, query.files, query.source);
    }
  }
  return {.folder = path};
}

}  // namespace

ModelLocation locate_model(const ModelQuery& query) {
  const ModelLocation& files = query.files;
  const bool files_suffice =
      !files.transformer.empty() && !files.text_encoder.empty() && !files.vae.empty();
  ModelLocation location;
  if (!query.text.empty() || !files_suffice) {
    check_query(query);
    location = locate_networks(query);
  }
  for (const auto part : {&ModelLocation::transformer, &ModelLocation::text_encoder,
                          &ModelLocation::vae, &ModelLocation::tokenizer}) {
    if (!(files.*part).empty()) location.*part = files.*part;
  }
  if (hub::is_folder(location.tokenizer)) location.tokenizer /= "tokenizer.json";
  if (fs::path found = find_tokenizer(location, query); !found.empty()) {
    location.tokenizer = std::move(found);
  }
  return location;
}

std::vector<std::string> check_model_folder(const fs::path& folder) {
  std::vector<std::string> defects;
  // A type that this build cannot read is no defect of the folder.
  const auto attempt = [&](const std::function<void()>& read) {
    try {
      read();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::Unsupported) {
        defects.push_back(relative_to(folder, error.what()));
      }
    }
  };
  attempt([&] { read_model_index(folder); });
  if (!defects.empty()) return defects;
  for (const std::string_view network : kNetworks) {
    const fs::path part = folder / network;
    attempt([&] { read_config(part / "config.json"); });
    WeightFiles weights;
    attempt([&] { weights = find_weight_files(part); });
    for (const std::string& name : weights.names) {
      attempt([&] { parse_weight_file(MappedFile(part / name).bytes(), (part / name).string()); });
    }
  }
  attempt([&] { read_config(folder / "scheduler" / "scheduler_config.json"); });
  return defects;
}

}  // namespace zimage
