// Norms, biases, embedders, modulation and pad tokens stay; matrices of blocks are quantized.
#include "convert/tensor_rules.h"

#include <algorithm>
#include <array>

namespace zimage {
namespace {

QuantType type_of(TargetEncoding encoding) {
  switch (encoding) {
    case TargetEncoding::Bf16: return QuantType::None;
    case TargetEncoding::Q80: return QuantType::Q80;
    case TargetEncoding::Q6K: return QuantType::Q6K;
    case TargetEncoding::Q5K: return QuantType::Q5K;
    case TargetEncoding::Q4K: return QuantType::Q4K;
    case TargetEncoding::Fp8: return QuantType::Fp8E4M3;
  }
  return QuantType::None;
}

bool is_float(const HostTensor& tensor) {
  const DType dtype = tensor.stored.dtype;
  return tensor.is_quantized() || dtype == DType::F32 || dtype == DType::F16 ||
         dtype == DType::BF16;
}

// Source: tools/lcpp.patch of city96/ComfyUI-GGUF for lumina2, which keeps the refiners; the layers
// that Comfy-Org's quantized files of Z-Image mark, which keep the modulation instead; llama.cpp's
// quantize for Qwen3, but the embeddings.
bool is_quantized(std::string_view part, std::string_view name, TargetEncoding encoding) {
  if (part == "text_encoder") return name.starts_with("layers.");
  if (part != "transformer") return false;
  if (encoding != TargetEncoding::Fp8) return name.starts_with("layers.");
  constexpr std::array<std::string_view, 3> kBlocks = {"layers.", "noise_refiner.",
                                                       "context_refiner."};
  const bool is_in_block = std::ranges::any_of(
      kBlocks, [name](std::string_view prefix) { return name.starts_with(prefix); });
  return is_in_block && (name.find(".attention.") != std::string_view::npos ||
                         name.find(".feed_forward.") != std::string_view::npos);
}

}  // namespace

Storage storage_of(std::string_view part, std::string_view name, const HostTensor& tensor,
                   const FileFormat& format) {
  if (!is_float(tensor)) return {.dtype = tensor.stored.dtype};
  const bool is_matrix = tensor.row_count() > 1;
  // Programs that read GGUF expect what they do not multiply with in f32.
  const bool widens = format.container == Container::Gguf && !is_matrix;
  const Storage plain{.dtype = widens ? DType::F32 : DType::BF16};
  if (tensor.shape.rank() != 2 || !is_matrix || !is_quantized(part, name, format.encoding))
    return plain;
  const QuantType type = type_of(format.encoding);
  if (type == QuantType::None) return plain;
  for (const QuantType candidate : {type, QuantType::Q80}) {
    if (tensor.row_elements() % block_of(candidate).elements == 0)
      return {.dtype = DType::U8, .type = candidate};
  }
  return plain;
}

}  // namespace zimage
