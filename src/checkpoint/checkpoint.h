// Weights in: a model folder becomes named, typed views of mapped files plus the configuration of
// each part. Follows the layout that diffusers' save_pretrained writes: model_index.json, a folder
// for each part with its config.json, and safetensors, sharded by *.safetensors.index.json or
// alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/host_tensor.h"
#include "base/json.h"
#include "base/mapped_file.h"

namespace zimage {

// One network's configuration and weights. Owns the mappings its tensors point into.
class CheckpointPart {
 public:
  // Opens the folder of one part. Checks that every shard that the index names is there and
  // complete, that the index and the shards agree, and every header. Quantized tensors have their
  // scales. A tensor whose place in its file is no multiple of its element's size is copied; all
  // others stay in the mapping.
  // Throws NotFound, InvalidFile or Unsupported, naming the file.
  static CheckpointPart open(const std::filesystem::path& folder);

  CheckpointPart(CheckpointPart&&) noexcept;
  CheckpointPart& operator=(CheckpointPart&&) noexcept;
  ~CheckpointPart();

  const std::filesystem::path& folder() const { return folder_; }
  // config.json; the name of the returned object is the file's path.
  JsonObject config() const;

  // By canonical name (checkpoint/names.h). Views of host memory that live as long as the part.
  const std::map<std::string, HostTensor, std::less<>>& tensors() const { return tensors_; }
  // Throws NotFound: "<folder>/transformer: tensor layers.0... is missing".
  const HostTensor& tensor(std::string_view name) const;
  // The file that holds a tensor, for messages. Precondition: the tensor exists.
  std::string file_of(std::string_view name) const;
  // Lets the memory of a tensor's mapped pages go until somebody reads them again. Without effect
  // on what is no view of a mapping.
  void evict(const Tensor& tensor) const;
  void evict_all() const;
  // Asks the system to read a tensor's pages ahead.
  void read_ahead(const Tensor& tensor) const;
  // The names of the weight files, sorted.
  const std::vector<std::string>& files() const { return file_names_; }

  std::int64_t parameters() const;  // elements of all tensors
  std::uint64_t bytes() const;      // of all tensors as stored

 private:
  explicit CheckpointPart(const std::filesystem::path& folder);
  void add_file(const std::string& file_name);
  void use_canonical_names();
  const MappedFile* file_behind(const Tensor& tensor) const;

  std::filesystem::path folder_;
  std::unique_ptr<Json> config_;
  std::vector<MappedFile> files_;
  std::vector<std::string> file_names_;
  std::unique_ptr<Json> quantized_layers_;  // of all files (checkpoint/scales.h)
  // Of tensors misaligned in their file, and of converted scales.
  std::vector<std::unique_ptr<std::byte[]>> copies_;
  std::map<std::string, HostTensor, std::less<>> tensors_;
  std::map<std::string, std::size_t, std::less<>> file_indices_;
};

// A whole model folder. Parts are opened when asked for.
class Checkpoint {
 public:
  // Reads model_index.json and looks for the parts' folders; opens no weights. `tokenizer` is its
  // file when it lies elsewhere: then no folder of it is asked for. Throws NotFound when the folder
  // or a part's folder does not exist, InvalidFile when it is no Z-Image model (saying what a model
  // folder holds and what was found).
  static Checkpoint open(const std::filesystem::path& folder,
                         const std::filesystem::path& tokenizer = {});

  const std::filesystem::path& folder() const { return folder_; }
  // `name` is "transformer", "text_encoder" or "vae".
  CheckpointPart part(std::string_view name) const;
  // The scheduler's configuration: the object in scheduler_file(). Throws NotFound or InvalidFile.
  Json scheduler_config() const;
  // scheduler/scheduler_config.json.
  std::filesystem::path scheduler_file() const;
  // tokenizer/tokenizer.json, or the file given to open(). Throws NotFound when it does not exist,
  // InvalidFile when it is a Git LFS pointer.
  std::filesystem::path tokenizer_file() const;

 private:
  Checkpoint(std::filesystem::path folder, std::filesystem::path tokenizer)
      : folder_(std::move(folder)), tokenizer_(std::move(tokenizer)) {}
  std::filesystem::path folder_;
  std::filesystem::path tokenizer_;  // its file
};

}  // namespace zimage
