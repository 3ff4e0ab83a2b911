// The tensors of one part under the names of the file that they go to.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "convert/planned_file.h"
#include "convert/tensor_rules.h"

namespace zimage {

enum class Naming : std::uint8_t {
  Library,  // as diffusers' and transformers' folders have them
  Native,   // as ComfyUI's files and the GGUF files of transformers have them
  Llama,    // as llama.cpp's
};

// In the order of their canonical names; those of fused projections stand where the first of them
// does. Quantized to fp8 a tensor has its scale and its mark beside it, as ComfyUI reads them. The
// sources are views into `part`. Throws Unsupported for a tensor that llama.cpp has no name for.
std::vector<PlannedTensor> part_tensors(std::string_view name, const CheckpointPart& part,
                                        const FileFormat& format, Naming naming);

}  // namespace zimage
