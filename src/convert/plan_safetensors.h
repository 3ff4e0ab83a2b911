// Tensors become safetensors files: their headers, and the place of each tensor. The reader is
// checkpoint/safetensors.h.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "convert/planned_file.h"

namespace zimage {

// One file; `metadata` has a value for each key. Tensors are placed by the size of their elements,
// then by name, as the format's own library does, so that each lies at a multiple of its element.
PlannedFile plan_safetensors(std::string path, std::vector<PlannedTensor> tensors,
                             const std::map<std::string, std::string>& metadata);

struct PlannedShards {
  std::vector<PlannedFile> files;
  std::string index;  // the text of STEM.safetensors.index.json; empty for a single file
};

// As many files as it takes for none to hold more than `most` bytes of tensors, unless one tensor
// has more: "STEM.safetensors", or "STEM-00001-of-00003.safetensors" and an index. Source:
// split_torch_state_dict_into_shards of huggingface/huggingface_hub.
PlannedShards plan_shards(const std::string& stem, std::vector<PlannedTensor> tensors,
                          std::uint64_t most);

}  // namespace zimage
