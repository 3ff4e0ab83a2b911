// A safetensors file's bytes become a list of tensors: 8 bytes of header length, a JSON header,
// then the data. Follows safetensors/src/tensor.rs of huggingface/safetensors and the format's
// description in its README.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "checkpoint/stored_file.h"

namespace zimage {

// Reads and checks the header of `file`; `name` stands for the file in messages. In the order of
// their bytes. Every tensor lies within the file, is as long as its dtype and shape say, and
// overlaps no other; together they cover the data without a gap, as the format demands. `begin`
// need not be a multiple of the element's size: the format promises no alignment. Throws
// InvalidFile, or Unsupported for a dtype or a rank that the engine does not have.
StoredFile parse_safetensors(std::span<const std::byte> file, const std::string& name);

// What a file begins with: the length of the JSON text `header`, and the text.
std::string with_length(const std::string& header);

// Throws InvalidFile when `file` is a Git LFS pointer: the small text that stands in a clone for a
// large file that was not fetched.
void refuse_lfs_pointer(std::span<const std::byte> file, const std::string& name);

}  // namespace zimage
