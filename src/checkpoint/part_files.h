// Files that stand for parts of a model, in place of a folder's.
#pragma once

#include <filesystem>
#include <string_view>

namespace zimage {

// Safetensors or GGUF; one file may hold several parts. Empty: the folder's.
struct PartFiles {
  std::filesystem::path transformer = {};
  std::filesystem::path text_encoder = {};
  std::filesystem::path vae = {};
  std::filesystem::path tokenizer = {};  // tokenizer.json, or a GGUF file with a vocabulary

  // The file for "transformer", "text_encoder" or "vae".
  const std::filesystem::path& of(std::string_view part) const {
    if (part == "transformer") return transformer;
    return part == "vae" ? vae : text_encoder;
  }
  // Whether every network has a file, so that no folder is needed.
  bool are_whole() const { return !transformer.empty() && !text_encoder.empty() && !vae.empty(); }
};

}  // namespace zimage
