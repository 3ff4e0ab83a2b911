// Finds the parts of a model, in its folder or in files of their own.
#include "checkpoint/checkpoint.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "base/error.h"
#include "checkpoint/config_file.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/infer_config.h"
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

// The text of a tokenizer.json, when `file` is a GGUF file that holds a vocabulary.
std::optional<std::string> vocabulary_of(const fs::path& file) {
  const MappedFile mapped(file);
  if (!is_gguf(mapped.bytes())) return std::nullopt;
  return tokenizer_json(parse_gguf(mapped.bytes(), file.string()).metadata, file.string());
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& folder, const PartFiles& files) {
  Checkpoint checkpoint(folder, files);
  if (folder.empty() && files.are_whole()) return checkpoint;
  check_is_folder(folder);
  read_model_index(folder);
  for (const std::string_view part : kModelParts) {
    const bool has_file = part == "tokenizer" ? !checkpoint.tokenizer_outside().empty()
                                              : part != "scheduler" && !files.of(part).empty();
    if (!has_file) check_part_folder(folder, part);
  }
  return checkpoint;
}

CheckpointPart Checkpoint::part(std::string_view name) const {
  const fs::path& file = files_.of(name);
  if (file.empty()) return CheckpointPart::open(folder_ / name);
  return CheckpointPart::open_file(file, name, folder_.empty() ? folder_ : folder_ / name);
}

fs::path Checkpoint::scheduler_file() const {
  return folder_.empty() ? fs::path() : folder_ / "scheduler" / "scheduler_config.json";
}

Json Checkpoint::scheduler_config() const {
  return folder_.empty() ? published_scheduler_config() : read_config(scheduler_file());
}

fs::path Checkpoint::tokenizer_file() const {
  fs::path file = tokenizer_outside();
  if (file.empty() && folder_.empty()) {
    throw Error(ErrorCode::NotFound,
                files_.text_encoder.string() +
                    ": holds no tokenizer; name a tokenizer.json with --tokenizer, or a model "
                    "that has one with --model");
  }
  if (file.empty()) file = folder_ / "tokenizer" / "tokenizer.json";
  refuse_lfs_pointer(MappedFile(file).bytes(), file.string());
  return file;
}

// The tokenizer's file that was given, or the text encoder's if it has a vocabulary.
fs::path Checkpoint::tokenizer_outside() const {
  if (!files_.tokenizer.empty()) return files_.tokenizer;
  if (files_.text_encoder.empty()) return {};
  return holds_vocabulary(files_.text_encoder) ? files_.text_encoder : fs::path();
}

std::optional<std::string> Checkpoint::tokenizer_of_gguf() const {
  return vocabulary_of(tokenizer_file());
}

}  // namespace zimage
