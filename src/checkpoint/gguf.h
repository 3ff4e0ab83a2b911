// A GGUF file's bytes become a list of tensors and its facts. Source: docs/gguf.md of
// ggml-org/ggml; gguf-py/gguf/gguf_reader.py and constants.py of ggml-org/llama.cpp.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "checkpoint/stored_file.h"

namespace zimage {

// Whether the bytes begin as a GGUF file does.
bool is_gguf(std::span<const std::byte> file);

// Reads and checks everything before the data; `name` stands for the file in messages. Shapes are
// row-major, outermost axis first, with comfy.gguf.orig_shape applied. Every tensor lies within
// the file, is as long as its type and shape say, and overlaps no other. Throws InvalidFile, or
// Unsupported for types, versions and ranks that the engine does not have and for one of several
// files.
StoredFile parse_gguf(std::span<const std::byte> file, const std::string& name);

}  // namespace zimage
