// Maps the weight files of one part and checks them against their index.
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/config_file.h"
#include "checkpoint/infer_config.h"
#include "checkpoint/names.h"
#include "checkpoint/pickle.h"
#include "checkpoint/scales.h"
#include "checkpoint/weight_files.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// Every tensor is in the file where the index says, and every tensor of the files is in the index.
void check_index(const CheckpointPart& part, const WeightFiles& files) {
  for (const auto& [tensor, file] : files.map) {
    if (!part.tensors().contains(tensor)) {
      throw Error(ErrorCode::InvalidFile, (part.folder() / file).string() + ": holds no tensor " +
                                              quote(tensor) + ", which " + files.index.string() +
                                              " places there");
    }
  }
  for (const auto& [tensor, unused] : part.tensors()) {
    const auto expected = files.map.find(tensor);
    const std::string found = part.file_of(tensor);
    if (expected != files.map.end() && (part.folder() / expected->second).string() == found)
      continue;
    throw Error(
        ErrorCode::InvalidFile,
        found + ": holds tensor " + quote(tensor) + ", which " + files.index.string() +
            (expected == files.map.end() ? " does not name" : " places in " + expected->second));
  }
}

}  // namespace

CheckpointPart CheckpointPart::open(const fs::path& folder) {
  CheckpointPart part(folder, "");
  part.config_name_ = (folder / "config.json").string();
  part.config_ = std::make_unique<Json>(read_config(folder / "config.json"));
  const WeightFiles files = find_weight_files(folder);
  for (const std::string& name : files.names) part.add_file(name);
  if (!files.index.empty()) check_index(part, files);
  part.finish_tensors();
  return part;
}

CheckpointPart CheckpointPart::open_file(const fs::path& file, std::string_view name,
                                         const fs::path& fallback) {
  refuse_pickle(file);
  CheckpointPart part(file.parent_path(), name);
  const std::unique_ptr<Json> metadata = part.add_file(file.filename().string());
  part.finish_tensors();
  if (part.tensors_.empty()) {
    throw Error(ErrorCode::NotFound,
                file.string() + ": holds no tensor of the " + std::string(name));
  }
  part.config_name_ = file.string();
  if (auto config = config_of_metadata(name, *metadata, part.tensors_, file.string())) {
    part.config_ = std::make_unique<Json>(std::move(*config));
  } else if (!fallback.empty()) {
    part.config_name_ = (fallback / "config.json").string();
    part.config_ = std::make_unique<Json>(read_config(fallback / "config.json"));
  } else {
    part.config_is_inferred_ = true;
    part.config_ = std::make_unique<Json>(config_of_shapes(name, part.tensors_, file.string()));
  }
  return part;
}

CheckpointPart::CheckpointPart(CheckpointPart&&) noexcept = default;
CheckpointPart& CheckpointPart::operator=(CheckpointPart&&) noexcept = default;
CheckpointPart::~CheckpointPart() = default;

CheckpointPart::CheckpointPart(fs::path folder, std::string_view part)
    : folder_(std::move(folder)),
      part_(part),
      quantized_layers_(std::make_unique<Json>(Json::object())) {}

void CheckpointPart::finish_tensors() {
  attach_scales(tensors_, copies_, *quantized_layers_, [this](const std::string& tensor) {
    return file_of(tensor) + ": tensor " + quote(tensor);
  });
  use_canonical_names();
}

void CheckpointPart::use_canonical_names() {
  std::map<std::string, HostTensor, std::less<>> tensors;
  std::map<std::string, std::size_t, std::less<>> file_indices;
  const NameTranslation translate(tensors_);
  for (const auto& [stored, as_stored] : tensors_) {
    for (const auto& [name, tensor] : translate(stored, as_stored)) {
      if (!tensors.emplace(name, tensor).second) {
        throw Error(ErrorCode::InvalidFile,
                    file_of(stored) + ": holds tensor " + quote(name) + " twice, in two spellings");
      }
      file_indices.emplace(name, file_indices_.find(stored)->second);
    }
  }
  tensors_ = std::move(tensors);
  file_indices_ = std::move(file_indices);
}

std::unique_ptr<Json> CheckpointPart::add_file(const std::string& file_name) {
  const fs::path path = folder_ / file_name;
  files_.emplace_back(path);
  file_names_.push_back(file_name);
  const std::span<const std::byte> bytes = files_.back().bytes();
  StoredFile file = parse_weight_file(bytes, path.string());
  quantized_layers_->update(quantized_layers(file.metadata, path.string()));
  for (const StoredTensor& stored : file.tensors) {
    const std::string_view part = part_of_prefix(stored.name);
    if (!part_.empty() && !part.empty() && part != part_) continue;
    const auto [entry, is_new] = file_indices_.emplace(stored.name, files_.size() - 1);
    if (!is_new) {
      throw Error(ErrorCode::InvalidFile, path.string() + ": holds tensor " + quote(stored.name) +
                                              ", which " + file_names_[entry->second] +
                                              " holds too");
    }
    tensors_.emplace(stored.name, view_of(stored, bytes));
  }
  return std::make_unique<Json>(std::move(file.metadata));
}

JsonObject CheckpointPart::config() const {
  return {*config_, config_name_};
}

std::string CheckpointPart::config_text() const {
  return config_->dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

const HostTensor& CheckpointPart::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw Error(ErrorCode::NotFound,
                folder_.string() + ": tensor " + std::string(name) + " is missing");
  }
  return found->second;
}

std::string CheckpointPart::file_of(std::string_view name) const {
  return (folder_ / file_names_[file_indices_.find(name)->second]).string();
}

// The mapping that `tensor` is a view of; none for a copy.
const MappedFile* CheckpointPart::file_behind(const Tensor& tensor) const {
  const auto* data = static_cast<const std::byte*>(tensor.data);
  const std::less<> before;
  for (const MappedFile& file : files_) {
    const std::span<const std::byte> bytes = file.bytes();
    if (!before(data, bytes.data()) && before(data, bytes.data() + bytes.size())) return &file;
  }
  return nullptr;
}

void CheckpointPart::evict(const Tensor& tensor) const {
  if (const MappedFile* file = file_behind(tensor))
    file->evict({static_cast<const std::byte*>(tensor.data), tensor.bytes()});
}

void CheckpointPart::evict_all() const {
  for (const MappedFile& file : files_) file.evict(file.bytes());
}

std::int64_t CheckpointPart::parameters() const {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : tensors_) count += tensor.elements();
  return count;
}

std::uint64_t CheckpointPart::bytes() const {
  std::uint64_t count = 0;
  for (const auto& [name, tensor] : tensors_) count += tensor.bytes();
  return count;
}

}  // namespace zimage
