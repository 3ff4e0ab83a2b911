// A part's folder becomes the list of its safetensors files and what each must hold. Follows the
// names that diffusers' and transformers' save_pretrained write.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

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

// The index of `folder` and the files it names, or the folder's only safetensors file. Files still
// being downloaded (*.incomplete) are never taken. Throws NotFound for missing files, InvalidFile
// when it is not clear which are meant or the only weights are a pickle.
WeightFiles find_weight_files(const std::filesystem::path& folder);

// "a.txt, b/, c.json and 3 more", sorted; folders end with "/". For messages.
std::string list_folder(const std::filesystem::path& folder);

}  // namespace zimage
