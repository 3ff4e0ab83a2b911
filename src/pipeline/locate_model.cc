// Folders first, then the hubs' caches.
#include "pipeline/locate_model.h"

#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/quote.h"
#include "checkpoint/config_file.h"
#include "checkpoint/model_index.h"
#include "checkpoint/pickle.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weight_files.h"
#include "hub/resolve.h"
#include "pipeline/model_query.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kNetworks = {"text_encoder", "transformer", "vae"};

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

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

}  // namespace

ModelLocation locate_model(const ModelQuery& query) {
  check_query(query);
  const fs::path path(query.text);
  std::error_code error;
  if (!is_folder(path)) {
    if (!fs::exists(fs::symlink_status(path, error))) return locate_by_name(query);
    if (is_pickle_name(query.text)) {
      refuse(ErrorCode::InvalidFile, query, pickle_refusal(quote(query.text)));
    }
    refuse(ErrorCode::NotFound, query,
           "expected a model's folder, " + quote(query.text) + " is none");
  }
  if (is_storage(path)) {
    return to_location(hub::resolve_storage(path, query.revision, check_model_folder));
  }
  if (query.revision) {
    throw Error(ErrorCode::InvalidArgument,
                "--revision: " + quote(query.text) + " is a folder, which has no revisions");
  }
  return {.folder = path};
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
      attempt([&] { parse_safetensors(MappedFile(part / name).bytes(), (part / name).string()); });
    }
  }
  attempt([&] { read_config(folder / "scheduler" / "scheduler_config.json"); });
  return defects;
}

}  // namespace zimage
