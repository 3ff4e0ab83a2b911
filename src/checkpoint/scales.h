// Scales that safetensors files keep beside quantized weights become part of the weights. Follows
// ComfyUI: layer.weight with layer.weight_scale, .weight_scale_2 and .input_scale, its encoding in
// layer.comfy_quant or in the metadata's _quantization_metadata; and the older layer.scale_weight
// and .scale_input with one scaled_fp8 a file.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/host_tensor.h"
#include "base/json.h"

namespace zimage {

using TensorMap = std::map<std::string, HostTensor, std::less<>>;
// Owners of numbers that are not read from their file in place.
using TensorCopies = std::vector<std::unique_ptr<std::byte[]>>;

// The object "layers" of _quantization_metadata in a file's metadata: layer -> {"format": ...};
// an empty object where there is none. `name` stands for the file in messages. Throws InvalidFile.
Json quantized_layers(const Json& metadata, const std::string& name);

// Joins each weight of `tensors` (by stored name) with its scales, which are removed along with
// input scales and marks: the engine does not quantize activations. `layers` as above, of all
// files; `place_of` names a tensor in messages. Throws InvalidFile for scales that do not fit and
// Unsupported for encodings that the engine does not have.
void attach_scales(TensorMap& tensors, TensorCopies& copies, const Json& layers,
                   const std::function<std::string(const std::string&)>& place_of);

}  // namespace zimage
