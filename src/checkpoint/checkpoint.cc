// Finds the parts of a model folder.
#include "checkpoint/checkpoint.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "base/error.h"
#include "checkpoint/config_file.h"
#include "checkpoint/model_index.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

void check_is_folder(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (status.type() == fs::file_type::none) {
    throw Error(ErrorCode::NotFound, folder.string() + ": " + error.message());
  }
  if (!fs::exists(status)) {
    throw Error(ErrorCode::NotFound, folder.string() + ": no such model folder");
  }
  if (!fs::is_directory(status)) {
    throw Error(ErrorCode::InvalidFile, folder.string() + ": a file, expected a model folder");
  }
}

void check_part_folder(const fs::path& folder, std::string_view part) {
  std::error_code ignored;
  if (fs::is_directory(folder / part, ignored)) return;
  throw Error(ErrorCode::NotFound, folder.string() + ": the folder " + std::string(part) +
                                       "/ is missing, found " + list_folder(folder));
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& folder, const fs::path& tokenizer) {
  check_is_folder(folder);
  read_model_index(folder);
  for (const std::string_view part : kModelParts) {
    if (part != "tokenizer" || tokenizer.empty()) check_part_folder(folder, part);
  }
  return {folder, tokenizer.empty() ? folder / "tokenizer" / "tokenizer.json" : tokenizer};
}

CheckpointPart Checkpoint::part(std::string_view name) const {
  return CheckpointPart::open(folder_ / name);
}

fs::path Checkpoint::scheduler_file() const {
  return folder_ / "scheduler" / "scheduler_config.json";
}

Json Checkpoint::scheduler_config() const {
  return read_config(scheduler_file());
}

fs::path Checkpoint::tokenizer_file() const {
  refuse_lfs_pointer(MappedFile(tokenizer_).bytes(), tokenizer_.string());
  return tokenizer_;
}

}  // namespace zimage
