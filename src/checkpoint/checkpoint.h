// Weights in: a model folder becomes named, typed views of mapped files plus the configuration of
// each part. Follows the layout that diffusers' save_pretrained writes: model_index.json, a folder
// for each part with its config.json, and safetensors, sharded by *.safetensors.index.json or
// alone. A part may be a file of its own instead: safetensors or GGUF, under any spelling of its
// names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/host_tensor.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/part_files.h"

namespace zimage {

// One network's configuration and weights. Owns the mappings its tensors point into.
class CheckpointPart {
 public:
  // Opens the folder of one part. Checks that every shard that the index names is there and
  // complete, that the index and the shards agree, and every header. Quantized tensors have their
  // scales.
  // Throws NotFound, InvalidFile or Unsupported, naming the file.
  static CheckpointPart open(const std::filesystem::path& folder);

  // Opens one file as the part of this name, "transformer", "text_encoder" or "vae"; of a file that
  // holds several parts, the tensors of that one. Its configuration is what the file says of
  // itself, else config.json of `fallback`, the part's folder in a model; else, when that is empty,
  // it follows from the shapes and the published model. Throws what open() throws.
  static CheckpointPart open_file(const std::filesystem::path& file, std::string_view part,
                                  const std::filesystem::path& fallback);

  CheckpointPart(CheckpointPart&&) noexcept;
  CheckpointPart& operator=(CheckpointPart&&) noexcept;
  ~CheckpointPart();

  const std::filesystem::path& folder() const { return folder_; }
  // As config.json has it; the name of the returned object is the path of the file it is from.
  JsonObject config() const;
  // The same as JSON.
  std::string config_text() const;
  // True when it only follows from the shapes and the published model.
  bool config_is_inferred() const { return config_is_inferred_; }

  // By canonical name (checkpoint/names.h). Views of the mapped files, which live as long as the
  // part. Numbers lie where their file has them, which may be no multiple of an element's size.
  const std::map<std::string, HostTensor, std::less<>>& tensors() const { return tensors_; }
  // Throws NotFound: "<folder>/transformer: tensor layers.0... is missing".
  const HostTensor& tensor(std::string_view name) const;
  // The file that holds a tensor, for messages. Precondition: the tensor exists.
  std::string file_of(std::string_view name) const;
  // Lets the memory of a tensor's mapped pages go until somebody reads them again. Without effect
  // on what is no view of a mapping.
  void evict(const Tensor& tensor) const;
  void evict_all() const;
  // The names of the weight files, sorted.
  const std::vector<std::string>& files() const { return file_names_; }

  std::int64_t parameters() const;  // elements of all tensors
  std::uint64_t bytes() const;      // of all tensors as stored

 private:
  CheckpointPart(std::filesystem::path folder, std::string_view part);
  // Returns what the file says of itself. Of a file that holds several parts, takes this one's.
  std::unique_ptr<Json> add_file(const std::string& file_name);
  void finish_tensors();
  void use_canonical_names();
  const MappedFile* file_behind(const Tensor& tensor) const;

  std::filesystem::path folder_;
  std::string part_;  // its name; empty for a folder, whose files hold nothing else
  std::unique_ptr<Json> config_;
  std::string config_name_;
  bool config_is_inferred_ = false;
  std::vector<MappedFile> files_;
  std::vector<std::string> file_names_;
  std::unique_ptr<Json> quantized_layers_;  // of all files (checkpoint/scales.h)
  // Of scales that are not read in place.
  std::vector<std::unique_ptr<std::byte[]>> copies_;
  std::map<std::string, HostTensor, std::less<>> tensors_;
  std::map<std::string, std::size_t, std::less<>> file_indices_;
};

// A model: a folder, files in place of some of its parts, or files alone. Parts are opened when
// asked for.
class Checkpoint {
 public:
  // Reads model_index.json and looks for the folders of the parts that have no file; opens no
  // weights. `folder` may be empty when every network has a file. Throws NotFound when the folder
  // or a part's folder does not exist, InvalidFile when it is no Z-Image model (saying what a model
  // folder holds and what was found).
  static Checkpoint open(const std::filesystem::path& folder, const PartFiles& files = {});

  // Empty where there is none.
  const std::filesystem::path& folder() const { return folder_; }
  const PartFiles& files() const { return files_; }
  // `name` is "transformer", "text_encoder" or "vae".
  CheckpointPart part(std::string_view name) const;
  // The scheduler's configuration: the object in scheduler_file(); without a folder, the published
  // model's. Throws NotFound or InvalidFile.
  Json scheduler_config() const;
  // scheduler/scheduler_config.json; empty without a folder.
  std::filesystem::path scheduler_file() const;
  // The tokenizer's file: the one given to open(); else the text encoder's, when it holds a
  // vocabulary; else the folder's tokenizer/tokenizer.json. Throws NotFound when there is none,
  // InvalidFile when it is a Git LFS pointer.
  std::filesystem::path tokenizer_file() const;
  // The text of a tokenizer.json for tokenizer_file() when that is a GGUF file; else nothing: then
  // it is that text itself. Throws InvalidFile or Unsupported.
  std::optional<std::string> tokenizer_of_gguf() const;

 private:
  Checkpoint(std::filesystem::path folder, PartFiles files)
      : folder_(std::move(folder)), files_(std::move(files)) {}
  std::filesystem::path tokenizer_outside() const;

  std::filesystem::path folder_;
  PartFiles files_;
};

}  // namespace zimage
