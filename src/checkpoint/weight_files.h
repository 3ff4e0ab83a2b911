// A part's folder becomes the list of its weight files and what each must hold. Follows the
// names that diffusers' and transformers' save_pretrained write.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/stored_file.h"

namespace zimage {

// tensor name -> file name
using WeightMap = std::map<std::string, std::string, std::less<>>;

// Reads the text of a *.safetensors.index.json; `name` stands for it in messages. Every file name
// is a plain name: it cannot leave the folder. Throws InvalidFile.
WeightMap parse_weight_index(std::string_view text, const std::string& name);

struct WeightFiles {
  std::vector<std::string> names;  // sorted; in the part's folder
  std::filesystem::path index;     // empty when there is none
  WeightMap map;                   // of the index
};

// The index of `folder` and the files it names, or the folder's only safetensors file, or without
// one its only GGUF file. Files still being downloaded (*.incomplete) are never taken. Throws
// NotFound for missing files, InvalidFile when it is not clear which are meant or the only weights
// are a pickle.
WeightFiles find_weight_files(const std::filesystem::path& folder);

// The header of a weight file, safetensors or GGUF, by what it begins with; `name` stands for it in
// messages. Throws what parse_safetensors and parse_gguf throw.
StoredFile parse_weight_file(std::span<const std::byte> file, const std::string& name);

// "a.txt, b/, c.json and 3 more", sorted; folders end with "/". For messages.
std::string list_folder(const std::filesystem::path& folder);

}  // namespace zimage
